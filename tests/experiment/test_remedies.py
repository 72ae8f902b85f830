"""What a message says would be valid is valid: the remedy is applied, and the error goes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib.util import find_spec
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
CHECKING = ("agents", "algorithms", "comm/conditions", "envs", "exact/mdp.py", "experiment", "topology",
            "utils/options.py", "utils/plugins.py")
ELSEWHERE = {           # what is not said when an experiment is checked
    "experiment/compare.py", "experiment/elsewhere.py", "experiment/evaluate.py", "experiment/load.py",
    "experiment/mixed_hosts.py", "experiment/run_folder.py",
    "experiment/run_result.py", "experiment/fingerprint.py", "experiment/trust.py"}
CODE, PACKAGE, CALLER = "other code of the user's", "a package", "other arguments in Python, or another --set"
ASKS_FOR = {            # by file and function: what the remedy is, where it is no change of the experiment
    "agents/parameters.py _refuse_unless": CODE, "agents/networks/_factory.py refuse": CODE,
    "agents/neural/networks.py _refuse_memories": CODE, "envs/_pettingzoo.py refuse": CODE,
    "envs/_pettingzoo.py render": CODE, "envs/_pettingzoo_check.py refuse": CODE,
    "envs/_pettingzoo_check.py examine": CODE,
    "envs/_pettingzoo_game.py shown": CODE, "envs/_tabular.py check_gamma": CODE, "envs/_tabular.py refuse": CODE,
    "envs/_batched.py refuse": CODE, "topology/signature.py parameters": CODE,
    "topology/loading.py _load": CODE, "topology/loading.py _module_family": CODE, "utils/plugins.py call": CODE,
    "utils/plugins.py user_module": CODE,
    "agents/networks/_torch.py": PACKAGE, "envs/_pettingzoo_check.py": PACKAGE, "envs/_pettingzoo_spaces.py": PACKAGE,
    "topology/weights/fastest.py _edge_weights": PACKAGE,
    "experiment/environment_graph.py _asked": CODE, "experiment/environment_graph.py _refused": CODE,
    "envs/platoon.py replay": CALLER, "envs/matrix.py payoff_table": CALLER,
    "exact/mdp.py _numbers": CALLER, "experiment/config.py parse_set": CALLER,
    "experiment/config.py one_of": CALLER, "comm/conditions/_codes.py choco_step": CALLER,
    "comm/conditions/_events.py __init__": CALLER, "comm/conditions/_wiring.py of": CALLER,
    "comm/conditions/_scaled.py __post_init__": CALLER, "comm/conditions/_sparse.py __post_init__": CALLER,
    "comm/conditions/_time.py at": CALLER, "comm/conditions/_time.py __post_init__": CALLER,
    "topology/resilience.py bears": CALLER,
    "envs/_batched.py check_measured": CODE, "experiment/measures.py refuse_taken_names": CODE,
    "algorithms/centralized/_mirror.py _made": CODE, "algorithms/centralized/_mirror.py _refuse": CODE,
    "envs/traffic.py _files": PACKAGE, "envs/mamujoco.py make": PACKAGE, "envs/smax.py _ask_for_packages": PACKAGE,
    "envs/_smax_battles.py _loaded": PACKAGE,
    "experiment/jobs.py mpi": PACKAGE, "experiment/report/page.py require": PACKAGE,
    **dict.fromkeys((f"experiment/{place}" for place in (
        "expense.py iterations", "expense.py parse", "expense.py rehearse", "halving.py of", "jobs.py jobs_of",
        "listening.py refuse_unfit", "listening.py refuse_unsendable", "search.py _span", "search.py axes_of",
        "search.py begun", "slurm.py write",
        "tune.py checked_tuning", "tune.py try_out", "study.py axes_of", "study.py refuse_fixed",
        "study.py blamed", "study.py parse_vary", "study.py plan",
        "study.py together", "report/graphs.py load", "report/reading.py _algorithm", "report/reading.py _comparison",
        "report/reading.py _run", "report/writing.py write_report")), CALLER)}
if find_spec("libsumo") is None:         # without which nothing of a network is looked at
    ASKS_FOR |= dict.fromkeys(("envs/traffic.py make", "envs/traffic.py _try", "envs/_traffic_roads.py read_roads",
                               "envs/_traffic_roads.py _read"), PACKAGE)

if find_spec("jaxmarl") is None:
    ASKS_FOR["envs/smax.py make"] = PACKAGE


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


def offered(source: Path) -> list[tuple[str, range]]:
    """Of every `InputError(..., valid=...)` of a file the function that it stands in, if it does, and its lines."""
    found: list[tuple[str, range]] = []

    def visit(node: ast.AST, function: str) -> None:
        for child in ast.iter_child_nodes(node):
            if (isinstance(child, ast.Call) and getattr(child.func, "id", "") == "InputError"
                    and any(word.arg == "valid" for word in child.keywords)):
                found.append((function, range(child.lineno, (child.end_lineno or child.lineno) + 1)))
            visit(child, child.name if isinstance(child, ast.FunctionDef) else function)

    visit(ast.parse(source.read_text()), "")
    return found


def test_every_message_with_a_remedy_has_a_case(folder, places):
    for case in CASES.values():
        with pytest.raises(InputError):
            checked_setting(config.read(placed(nested(case.base, case.wrong), folder)))
    made = set(places)
    untried = {f"{source.relative_to(ROOT / 'netac')} {function}".strip(): lines.start
               for source in sources() for function, lines in offered(source)
               if not any((str(source), line) in made for line in lines)}
    assert sorted(untried.keys() - ASKS_FOR.keys()) == [], "messages whose remedy is not tried"
    assert sorted(ASKS_FOR.keys() - untried.keys()) == [], "what is tried, or gone"
