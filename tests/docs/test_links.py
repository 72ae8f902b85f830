"""Links between the pages of the repository lead somewhere, and the pictures and reports that pages need are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.launching import ROOT
from support.pages import BLOCK

from netac.utils import plugins

TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "graphs/README.md", "examples/data/README.md",
       "benchmarks/RESULTS.md")
PAGES = [*TOP, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def prose(page: Path) -> str:
    """The text of a page without its fenced blocks and code."""
    return re.sub(r"`[^`\n]*`", "code", BLOCK.sub("", page.read_text()))


def links(page: str) -> Iterator[tuple[Path, str]]:
    """File and anchor ("": none) of every link of a page that leads into the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(ROOT / page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (ROOT / page).parent / path if path else ROOT / page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, made as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    for file, anchor in links(page):
        assert file.exists(), f"{page}: no {file}"
        assert not anchor or anchor in anchors(file), f"{page}: {file} has no heading for #{anchor}"


def test_every_page_can_be_reached_from_the_start_page():
    reached, ahead = set(), [ROOT / "docs" / "index.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            ahead += [file for file, _ in links(str(page.relative_to(ROOT)))]
    assert {ROOT / page for page in PAGES} <= reached


def test_the_pictures_that_pages_show_are_there_and_small():
    shown = {file.resolve() for page in PAGES for file, _ in links(page) if file.suffix == ".png"}
    assert set((ROOT / "docs").rglob("*.png")) == shown
    assert all(picture.stat().st_size < 200_000 for picture in shown if picture.parent.name == "docs")


def test_the_results_of_every_experiment_are_there_and_told():
    """`docs/theory/` has a folder for each, with its report, and its README speaks of it."""
    page = (ROOT / "docs" / "theory" / "README.md").read_text()
    names = plugins.module_names("netac.theory")
    assert sorted(path.name for path in (ROOT / "docs" / "theory").iterdir() if path.is_dir()) == names
    for name in names:
        assert f"]({name}/report.md)" in page and f"]({name}/picture.png)" in page
        report = (ROOT / "docs" / "theory" / name / "report.md").read_text()
        assert f"`netac theory {name}`" in report and "FAILS" not in report and "NOT REFUTED" not in report
