"""The pages of the documentation: their fenced blocks, and the commands in them, run as a reader would run them.

Blocks by their language:

- `python`, `toml`: a file, whose path is the comment in its first line;
- `sh`: commands, one a line, which must succeed; they are `shortened`;
- `console`: commands behind `$ `, run in full, each with the output that it must print (`matches` says how exactly).

An HTML comment in the line before a block changes that: `<!-- run as: COMMAND; COMMAND -->` runs these commands in
place of all of a `sh` block, or of the first command of a `console` block, whose output is then that of all of them;
`<!-- not run: REASON -->` runs nothing. A block of any other language needs a reason.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from netac import cli
from support.launching import ROOT, SCRIPT, environment

FILES, COMMANDS, CONSOLE = ("python", "toml"), "sh", "console"
PLACES = ("examples", "graphs")
"""Folders of the repository that a reader has beside what a page tells to save."""

BLOCK = re.compile(r"^(?:<!-- (?P<mark>not run|run as): (?P<said>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
                   re.MULTILINE | re.DOTALL)
VARYING = (
    (re.compile(r"\b(wall_seconds|parameters_sha256) +\S+"), r"\1 *"),
    (re.compile(r"\b\d[\d.,]* (s|seconds)\b"), "* s"),
    (re.compile(r"^run_mpi\.sh: .* processes on \d+ cores?: .*"), "run_mpi.sh: *"),
    (re.compile(r"^netac: note: .* \.\.\.$"), ""),              # work that takes over two seconds, on a busy machine
    (re.compile(r"[ ─]+"), " "),
)
"""What differs from run to run and from machine to machine, and what stands for it; and the width of columns."""
HASH = re.compile(r"parameters_sha256 +(\w+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, its text, and what the comment before it says."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None = None
    run_as: tuple[str, ...] = ()

    @property
    def file(self) -> str | None:
        """The path of the file it shows, if it shows one."""
        found = re.match(r"# (\S+\.(?:py|toml))\n", self.text) if self.language in FILES else None
        return found[1] if found else None

    @property
    def commands(self) -> list[tuple[str, list[str] | None]]:
        """Each command with the lines it is shown to print; None: not shown."""
        if self.language == COMMANDS:
            return [(line, None) for line in self.text.splitlines() if line.strip()]
        found: list[tuple[str, list[str] | None]] = []
        for line in self.text.splitlines() if self.language == CONSOLE else ():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        return found


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page of the repository, in order."""
    text = (ROOT / page).read_text()
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("language")) + 1
        commands = tuple(re.split(r"; ", match["said"])) if match["mark"] == "run as" else ()
        reason = match["said"] if match["mark"] == "not run" else None
        found.append(Block(page, line, match["language"], match["text"], reason, commands))
    return found


def shown_files(page: str) -> dict[str, str]:
    """Path -> text, without its first line, of the files that a page shows."""
    return {block.file: block.text.partition("\n")[2] for block in blocks(page) if block.file}


def matches(shown: list[str], printed: str) -> bool:
    """Whether the output is as shown, line by line, but for what is VARYING.

    A line `...` stands for any lines, and `...` within a line for any text.
    """
    pattern = ""
    for line in filter(None, map(_steady, shown)):
        pattern += r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
    lines = filter(None, map(_steady, printed.splitlines()))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


def _steady(line: str) -> str:
    for varying, steady in VARYING:
        line = varying.sub(steady, line)
    return line.strip()


def reader_folder(folder: Path) -> Path:
    """`folder` with copies of what a reader has beside the pages."""
    for place in PLACES:
        shutil.copytree(ROOT / place, folder / place, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(command: str, folder: Path) -> tuple[int, str]:
    """Exit status of a command run in `folder`, and all it printed; `netac` runs in this process, without a start."""
    words = shlex.split(command, comments=True)
    if words[0] == "netac":
        return _netac(words[1:], folder)
    programs = {"./run_mpi.sh": str(SCRIPT), "python": sys.executable}
    if words[0] in programs:
        words[0] = programs[words[0]]
    elif words[0] in ("head", "ls"):
        words = ["bash", "-c", command]
    else:
        raise ValueError(f"pages do not run {words[0]}: {command}")
    done = subprocess.run(words, cwd=folder, env=environment(PYTHONPATH=str(ROOT)), text=True, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def _netac(words: list[str], folder: Path) -> tuple[int, str]:
    output, status = io.StringIO(), 0
    with _as_program(words, folder), contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
    return status, output.getvalue()


@contextlib.contextmanager
def _as_program(words: list[str], folder: Path) -> Iterator[None]:
    """This process as `netac WORDS` in `folder`; modules found there are forgotten afterwards."""
    argv, path, columns = sys.argv, sys.path[:], os.environ.get("COLUMNS")
    sys.argv, os.environ["COLUMNS"] = ["netac", *words], "80"
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.argv, sys.path[:] = argv, path
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]


def shortened(command: str, folder: Path) -> list[str]:
    """What is run for a command whose output is not shown: one iteration, one seed, three steps of an episode.

    A launch is tried without starting it, and then what it launches in this process; pages that show the output of
    launches make real ones.
    """
    words = shlex.split(command, comments=True)
    if words[0] == "./run_mpi.sh":
        dry = shlex.join(["./run_mpi.sh", "--dry-run", *words[1:]])
        file = next(number for number, word in enumerate(words) if word.endswith(".toml"))
        return [dry, *shortened(shlex.join(["netac", "run", *words[file:]]), folder)]
    if words[1] == "evaluate":
        return [shlex.join([*words, "--episodes", "1", "--steps", "3"])]
    if words[1] not in ("run", "compare", "tune"):
        return [command]
    more = ["--set", "iterations=1"]
    if words[1] == "tune":
        more += ["--samples", "2", "--seeds", "1", "--test-seeds", "1", "--jobs", "1"]
    if words[1] == "compare":
        table = tomllib.loads((folder / words[2]).read_text())["algorithm"]
        names = words[words.index("--algorithms") + 1].split(",") if "--algorithms" in words else []
        own = [name for name in names if "iterations" in table.get(name, ())]
        more += [word for name in own for word in ("--set", f"algorithm.{name}.iterations=1")]
        more += ["--seeds", "1", "--jobs", "1"]
    return [shlex.join([*words, *more])]


def inline_commands(page: str) -> list[str]:
    """The `netac ...` commands in the running text of a page."""
    return re.findall(r"`(netac [^`]+)`", BLOCK.sub("", (ROOT / page).read_text()))
