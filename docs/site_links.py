"""A hook of mkdocs: files of the repository that the pages link to become pages of the site.

Pages link to `../examples/coordination.toml` or `../CONTRIBUTING.md`, as they do on the disk and on a forge. mkdocs
knows `docs/` alone; each such file is added to the site under `repository/`, and the links to it are changed. Files
that are neither Markdown nor data are shown as code. A link that leads to nothing stays as it is, for mkdocs to refuse.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files, InclusionLevel

PLACE = "repository"
LINK = re.compile(r"(?<=\]\()[^)\s#]+")
AS_IT_IS = (".md", ".png", ".npz", ".csv")


def on_files(files: Files, config) -> Files:
    """Adds what the pages link to, what those files link to, and so on."""
    root, ahead = Path(config.docs_dir).parent, [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    while ahead:
        page = ahead.pop()
        for path in LINK.findall((root / page).read_text(encoding="utf-8")):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
            uri = _uri(path)
            if path.startswith("docs/") or not (root / path).is_file() or files.get_file_from_path(uri):
                continue
            text = {"abs_src_path": str(root / path)} if path.endswith(AS_IT_IS) else {"content": _code(path, root)}
            files.append(File.generated(config, uri, inclusion=InclusionLevel.NOT_IN_NAV, **text))
            ahead += [path] if path.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page, config, files: Files) -> str:
    """The page with its links led to where their files are in the site."""
    here = page.file.src_uri
    path = here.removeprefix(f"{PLACE}/") if here.startswith(f"{PLACE}/") else f"docs/{here}"

    def led(link: re.Match[str]) -> str:
        uri = _uri(posixpath.normpath(posixpath.join(posixpath.dirname(path), link[0])))
        return posixpath.relpath(uri, posixpath.dirname(here) or ".") if files.get_file_from_path(uri) else link[0]

    return LINK.sub(led, markdown)


def _uri(path: str) -> str:
    """Where the file of this path of the repository is in the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{PLACE}/{path}" if path.endswith(AS_IT_IS) else f"{PLACE}/{path}.md"


def _code(path: str, root: Path) -> str:
    """A page that shows a file as code."""
    language = {"py": "python", "toml": "toml", "sh": "bash"}.get(path.rpartition(".")[2], "text")
    return f"# {path}\n\n````{language}\n{(root / path).read_text(encoding='utf-8')}````\n"
