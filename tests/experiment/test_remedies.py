"""What a message says would be valid is valid: the remedy is applied, and the error goes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("pettingzoo")

from support.launching import ROOT
from support.remedies import CASES, nested, placed, write_files

from netac.experiment import build, config
from netac.experiment.run import checked_setting
from netac.utils.errors import InputError

Place = tuple[str, int]
CHECKING = ("agents", "algorithms", "envs", "exact/mdp.py", "experiment", "topology", "utils/options.py",
            "utils/plugins.py")
ELSEWHERE = {           # what is not said when an experiment is checked
    "experiment/compare.py", "experiment/evaluate.py", "experiment/load.py", "experiment/mixed_hosts.py",
    "experiment/run_folder.py", "experiment/run_result.py"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files that the cases name."""
    made = tmp_path_factory.mktemp("remedies")
    write_files(made)
    return made


@pytest.fixture
def places(monkeypatch) -> list[Place]:
    """Where errors that say what would be valid are made: file and line."""
    found: list[Place] = []
    original: Callable[..., None] = InputError.__init__

    def noting(self: InputError, *arguments: object, **keywords: object) -> None:
        if keywords.get("valid") is not None:
            frame = sys._getframe(1)
            found.append((frame.f_code.co_filename, frame.f_lineno))
        original(self, *arguments, **keywords)

    monkeypatch.setattr(InputError, "__init__", noting)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_remedy_that_is_named_works(name, folder, places):
    case = CASES[name]
    wrong = nested(case.base, case.wrong)
    with pytest.raises(InputError) as caught:
        checked_setting(config.read(placed(wrong, folder)))
    assert caught.value.valid and case.offers in caught.value.valid, caught.value
    checked_setting(config.read(placed(nested(wrong, case.remedy), folder)))


def test_features_that_are_fewer_make_agents_smaller(monkeypatch):
    tables = {"agents": 4, "iterations": 1, "env": "coordination", "topology": "complete", "algorithm": "cac"}
    monkeypatch.setattr(build, "LARGEST_AGENT", 30)
    with pytest.raises(InputError, match=r'^env.features: .*would hold 41 parameters.*features = "histogram"'):
        checked_setting(config.read(tables))
    checked_setting(config.read(tables, {"env.features": "histogram"}))


def sources() -> list[Path]:
    """The files that check an experiment."""
    folder = ROOT / "netac"
    places = [folder / part for part in CHECKING]
    found = [path for place in places for path in ([place] if place.suffix else place.rglob("*.py"))]
    return [path for path in found if path.relative_to(folder).as_posix() not in ELSEWHERE]


def offered(source: Path) -> list[range]:
    """The lines of every `InputError(..., valid=...)` of a file."""
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    return [range(call.lineno, (call.end_lineno or call.lineno) + 1) for call in calls
            if getattr(call.func, "id", "") == "InputError" and any(word.arg == "valid" for word in call.keywords)]


def test_every_message_with_a_remedy_has_a_case(folder, places):
    for case in CASES.values():
        with pytest.raises(InputError):
            checked_setting(config.read(placed(nested(case.base, case.wrong), folder)))
    made = set(places)
    untried = [f"{source.relative_to(ROOT)}:{lines.start}" for source in sources() for lines in offered(source)
               if not any((str(source), line) in made for line in lines)]
    assert not untried, "messages whose remedy is not tried:\n" + "\n".join(untried)
