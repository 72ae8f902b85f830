"""Every command on the pages of the documentation is run, and prints what the page shows."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from support.launching import ROOT
from support.pages import (
    COMMANDS,
    CONSOLE,
    FILES,
    HASH,
    Block,
    blocks,
    inline_commands,
    matches,
    reader_folder,
    run,
    shortened,
    shown_files,
)

from netac import cli

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
         "docs/theory/README.md"]
TEXTS = [*PAGES, "graphs/README.md", "examples/data/README.md", "CONTRIBUTING.md"]

NOT_RUN = {"README.md": 1, "docs/environments.md": 6, "docs/running.md": 3, "docs/networks.md": 1,
           "docs/guarantees.md": 2, "docs/studies.md": 1}
"""How many blocks of a page are marked `not run`: another one is to be counted here, too."""


def runs(block: Block) -> list[tuple[list[str], list[str] | None]]:
    """What is run for a block: commands one after another, and what they together are shown to print."""
    if block.not_run is not None or block.language not in (COMMANDS, CONSOLE):
        return []
    if block.run_as and block.language == COMMANDS:
        return [(list(block.run_as), None)]
    wanted = [([command], shown) for command, shown in block.commands]
    return [(list(block.run_as), wanted[0][1]), *wanted[1:]] if block.run_as else wanted


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_and_print_what_it_shows(page, tmp_path, request):
    """A hash that a page shows twice is twice the same; which one it is depends on the machine."""
    folder, hashes = reader_folder(tmp_path), {}
    todo = [(block, *wanted) for block in blocks(page) for wanted in runs(block)]
    if any("run_mpi.sh" in command for _, commands, _ in todo for command in commands):
        request.getfixturevalue("mpi")
    for path, text in shown_files(page).items():
        (folder / path).write_text(text)
    for block, commands, shown in todo:
        where = f"{page}, line {block.line}: {'; '.join(commands)}"
        if shown is None and not block.run_as:
            commands = shortened(*commands, folder)
        done = [run(command, folder) for command in commands]
        printed = "".join(output for _, output in done)
        failure = re.search(r"^netac: error:", "\n".join(shown or ()), re.MULTILINE)
        assert all((status != 0) == bool(failure) for status, _ in done), f"{where}\n{printed}"
        if shown is None:
            continue
        assert matches(shown, printed), f"{where}\nprinted\n{printed}"
        for told, found in zip(HASH.findall("\n".join(shown)), HASH.findall(printed), strict=False):
            assert hashes.setdefault(told, found) == found, where


def test_no_block_goes_untested_unless_it_says_why():
    found = {page: [block for block in blocks(page) if block.not_run is not None] for page in PAGES}
    assert {page: len(marked) for page, marked in found.items() if marked} == NOT_RUN
    for page in PAGES:
        for block in blocks(page):
            tested = block.file or block.not_run or block.language in (COMMANDS, CONSOLE)
            assert tested, f"{page}, line {block.line}: {FILES} need a path in the first line, other blocks a reason"


@pytest.mark.parametrize("page", TEXTS)
def test_the_commands_in_the_text_of_a_page_can_be_understood(page):
    """Their options exist, and the examples they name are there."""
    for command in inline_commands(page):
        words = shlex.split(command)[1:]
        if words[0].startswith("-"):
            continue
        with click.Context(cli.cli, info_name="netac") as context:
            _, subcommand, rest = cli.cli.resolve_command(context, words)
        known = {option for parameter in subcommand.params for option in parameter.opts} | {"--help"}
        assert {word for word in rest if word.startswith("-")} <= known, command
        files = [word for word in rest if word.startswith(("examples/", "graphs/")) and "NAME" not in word]
        assert all((ROOT / file).exists() for file in files), command


def test_the_demo_is_what_the_readme_says_it_runs():
    (demo,) = [block for block in blocks("README.md") if block.commands and block.commands[0][0] == "make demo"]
    makefile = (ROOT / "Makefile").read_text().replace("$(algorithms)", "cac,dac,mdac,iac").replace("$(bin)/", "")
    assert len(demo.run_as) == 3
    for command in demo.run_as:
        assert f"\t$(activate) {command}\n" in makefile


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_trained_agents_act_as_the_page_shows_and_as_the_example_does(tmp_path):
    """One episode of PettingZoo's pursuit each, with the same random numbers."""
    (tmp_path / "act.py").write_text(shown_files("docs/networks.md")["act.py"])
    example = ROOT / "examples" / "act.py"
    trained = run(f"netac run '{ROOT}/examples/pursuit.toml' --set iterations=3 --out runs/pursuit", tmp_path)
    assert trained[0] == 0, trained[1]
    status, shown = run("python act.py", tmp_path)
    assert status == 0 and re.fullmatch(r"return of an episode, mean of the agents: -?\d+\.\d\n", shown)
    assert run(f"python '{example}' runs/pursuit", tmp_path) == (0, shown)


def test_outputs_are_compared_line_by_line():
    printed = "runs/a\nnetac: note: drawing ...\n  final_reward        16.2193\n  wall_seconds  0.2\n\nwritten: a.png\n"
    shown = ["runs/a", "  final_reward        16.2193", "  wall_seconds  0.13", "written: a.png"]
    assert matches(shown, printed)
    assert matches(["...", "written: ...png"], printed) and matches(["runs/a", "..."], printed)
    assert not matches(shown[:-1], printed) and not matches([*shown, "more"], printed)
    assert not matches([line.replace("16.2193", "16.2194") for line in shown], printed)
    assert not matches(["...", "written: b...png"], printed)
