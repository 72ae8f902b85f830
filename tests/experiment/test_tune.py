"""`netac tune`: what is drawn, successive halving, tests on fresh seeds, and tunings that are interrupted."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import netac
from netac import cli
from netac.experiment import config, search
from netac.experiment.compare import performed
from netac.experiment.dry_run import foretell_tuning
from netac.experiment.halving import Halving, ranked
from netac.experiment.jobs import jobs_of
from netac.experiment.report.reading import read_folders
from netac.experiment.study import Cell, Study
from netac.results import tuning, watching
from netac.results.records import load_run
from netac.results.statistics import improvement_interval, iqm, iqm_interval
from netac.results.tables import read_rows
from netac.utils.errors import InputError, RunError

GAME = {"agents": 4, "iterations": 90, "env": "coordination", "topology": "ring", "log_every": 5, "seed": 3,
        "checkpoint_every": 40, "algorithm": {"name": "cac", "actor_step": 0.05},
        "study": {"vary": {"agents": [3, 4]}}}
VARY = {"algorithm.actor_step": "0.01..5:log", "topology": ["ring", "complete"]}
ASKED = {"samples": 6, "seeds": 2, "test_seeds": 3, "jobs": 1}
FILES = (tuning.TABLE, tuning.BEST, tuning.RECORD)


# --- what is drawn ---


@pytest.mark.parametrize(("text", "key", "axis"), [
    ("algorithm.actor_step=0.001..0.5:log", "algorithm.actor_step", search.Span(0.001, 0.5, True)),
    ("algorithm.batch= 1..8", "algorithm.batch", search.Span(1, 8)),
    ("algorithm.gamma=0..0.9", "algorithm.gamma", search.Span(0, 0.9)),
    ("env.x=-2..-1.5", "env.x", search.Span(-2, -1.5)),
    ("topology=ring,../graphs/gossip.py", "topology", search.Listed(("ring", "../graphs/gossip.py"))),
    ("topology=../graphs/gossip.py", "topology", search.Listed(("../graphs/gossip.py",))),
    ("algorithm.name=cac,iac", "algorithm", search.Listed(("cac", "iac"))),
    ("policy.hidden=[8, 8],[]", "policy.hidden", search.Listed(([8, 8], []))),
])
def test_ranges_and_values_are_read(text, key, axis):
    assert search.axes_of(dict([search.parse_vary(text)])) == {key: axis}


@pytest.mark.parametrize(("text", "says"), [
    ("agents=8..4", "a range goes from a number to a larger one"),
    ("agents=4..4", "a range goes from a number to a larger one"),
    ("algorithm.actor_step=0..1:log", "a logarithmic range is one of positive numbers"),
    ("algorithm.actor_step=-1..1:log", "a logarithmic range is one of positive numbers"),
    ("topology=ring..star", "a range is one of numbers"),
    ("agents=4..", "a range is one of numbers"),
    ("algorithm.actor_step=0.1..inf", "a range is one of numbers"),
    ("algorithm.actor_step=0.1..1:lin", "is no range"),
    ("agents=1..2..3", "is no range"),
    ("seed=1..3", "every cell has the same seeds"),
    ("agents=", "has no values"),
    ("topology=ring,ring", "is named twice"),
    ("agents", "cannot be understood"),
    ("=1..2", "cannot be understood"),
])
def test_what_is_no_range_is_told(text, says):
    with pytest.raises(InputError, match=says) as caught:
        search.axes_of(dict([search.parse_vary(text)]))
    assert "\n" not in str(caught.value) and caught.value.key.startswith("--vary")


NUMBERS = st.floats(1e-3, 1e3, allow_nan=False)


@given(NUMBERS, NUMBERS, st.booleans(), st.floats(0, 1, exclude_max=True))
def test_numbers_drawn_lie_in_their_range(one, other, log, u):
    low, high = sorted((one, other))
    if low < high:
        found = search.Span(low, high, log).at(u)
        assert low <= found <= high and isinstance(found, float)
        assert found in (low, high) or len(f"{found:.6e}".partition("e")[0].rstrip("0")) <= 8      # six digits
    whole = search.Span(int(low), int(high) + 1, log and low >= 1)
    assert whole.at(u) in range(int(low), int(high) + 2) and isinstance(whole.at(u), int)


def test_draws_are_as_even_as_they_should_be():
    u = (np.arange(4000) + 0.5) / 4000
    log = np.array([search.Span(0.01, 100.0, True).at(x) for x in u])
    assert [(log < edge).mean() for edge in (0.1, 1, 10)] == pytest.approx([0.25, 0.5, 0.75], abs=1e-3)
    whole = [search.Span(1, 4).at(x) for x in u]
    assert [whole.count(k) for k in (1, 2, 3, 4)] == [1000] * 4
    assert [search.Listed(("a", "b")).at(x) for x in (0, 0.49, 0.5, 0.99)] == ["a", "a", "b", "b"]


@given(st.integers(0, 5), st.integers(1, 12), st.integers(1, 12))
def test_random_settings_depend_on_seed_key_and_number_alone(seed, one, other):
    axes = search.axes_of(VARY)
    first, = search.random_search(axes, one, seed)
    second, = search.random_search(axes, other, seed)
    least = min(one, other)
    assert first[:least] == second[:least] and len(first) == one
    fewer, = search.random_search(search.axes_of({"algorithm.actor_step": VARY["algorithm.actor_step"]}), one, seed)
    assert [setting["algorithm.actor_step"] for setting in fewer] == [
        setting["algorithm.actor_step"] for setting in first]
    assert len(set(map(search.name_of, first))) == one


def test_where_there_are_no_more_settings_each_is_tried_once():
    axes = search.axes_of({"agents": "3..4", "topology": ["ring", "star"]})
    found, = search.begun("random", axes, 4, 0, True)
    assert [tuple(setting.values()) for setting in found] == [(3, "ring"), (3, "star"), (4, "ring"), (4, "star")]
    some, = search.begun("random", axes, 3, 0, True)
    assert len({search.name_of(setting) for setting in some}) == 3


def test_corners_hold_every_value_and_end():
    axes = search.axes_of({"agents": "3..9", "topology": ["ring", "star", "complete"], "log_every": [5]})
    found = list(search.corners(axes))
    assert len(found) == 3
    assert {setting["agents"] for setting in found} == {3, 9} and {setting["topology"] for setting in found} == {
        "ring", "star", "complete"}


# --- successive halving ---


@given(st.integers(1, 500), st.integers(1, 6), st.fractions(Fraction(1, 9), Fraction(8, 9)), st.integers(1, 5000),
       st.integers(1, 60))
def test_rungs_take_fewer_settings_further(number, rungs, keep, iterations, log_every):
    halving = Halving.of(rungs, keep)
    counts = halving.settings(number)
    ends = [halving.end(rung, iterations, log_every) for rung in range(rungs)]
    assert counts[0] == number and len(counts) == rungs and counts[-1] >= 1
    assert all((after >= before * halving.keep and after - 1 < before * halving.keep) or after == 1
               for before, after in itertools.pairwise(counts))
    assert ends == sorted(ends) and ends[-1] == iterations and ends[0] >= 1
    assert all(end % log_every == 0 or end == iterations for end in ends)
    share = [iterations * halving.keep ** (rungs - 1 - rung) for rung in range(rungs)]
    assert all(own <= end < own + 1 + log_every for own, end in zip(share, ends, strict=True))


def test_thirds_are_exact():
    assert Halving.of(3, "1/3").settings(27) == [27, 9, 3] and Halving.of(3, 1 / 3).settings(27) == [27, 9, 3]
    assert [Halving.of(3, "1/3").end(rung, 90, 5) for rung in range(3)] == [10, 30, 90]


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float))), st.booleans())
def test_ranks_are_by_score_and_then_by_number(scores, maximise):
    found = ranked(scores, maximise)
    assert sorted(found) == [place for place, score in enumerate(scores) if score is not None]
    for one, other in itertools.pairwise(found):
        better = scores[one] - scores[other] if maximise else scores[other] - scores[one]
        assert better > 0 or (better == 0 and one < other)


# --- whole tunings ---


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A tuning of six settings, by the command line."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "game.toml").write_text(tomli_w.dumps(GAME))
    words = [f"--vary={key}={values if isinstance(values, str) else ','.join(values)}" for key, values in VARY.items()]
    done = CliRunner().invoke(cli.cli, ["tune", str(folder / "game.toml"), *words, "--out", str(folder / "out"), *(
        f"--{key.replace('_', '-')}={value}" for key, value in ASKED.items())])
    assert done.exit_code == 0, done.output
    return folder, done.output


def rows(folder: Path) -> list[dict[str, str]]:
    return read_rows(folder / tuning.TABLE)


def test_every_setting_and_rung_is_told(tuned):
    folder, printed = tuned
    found = rows(folder / "out")
    assert [(row["rung"], row["iterations"]) for row in found] == [("1", "10")] * 6 + [("2", "30")] * 2 + [("3", "90")]
    for rung, number in (("1", 2), ("2", 1), ("3", 1)):
        own = [row for row in found if row["rung"] == rung]
        best = sorted(own, key=lambda row: -float(row["score"]))[:number]
        assert {row["sample"] for row in own if row["kept"] == "true"} == {row["sample"] for row in best}
    expected, = search.random_search(search.axes_of(VARY), 6, GAME["seed"])
    assert [(float(row["algorithm.actor_step"]), row["topology"]) for row in found[:6]] == [
        tuple(setting.values()) for setting in expected]
    assert {(row["seeds"], row["failed"], row["status"], row["error"]) for row in found} == {("2", "0", "ok", "")}
    best = found[-1]
    assert best["topology"] in printed and "probability" in printed and printed.count("written:") == 1


def test_a_report_of_it_shows_the_search_and_the_test(tuned):
    folder, _ = tuned
    searched, tested = read_folders([folder / "out"])
    assert searched.title.startswith("Tuning in") and len(searched.setups) == 6
    assert tuning.TABLE in searched.notes[0] and not any("has not come" in note for note in searched.notes)
    seeds, tried = ({seed for setup in exhibit.setups for seed in setup.seeds} for exhibit in (tested, searched))
    assert tested.title.startswith("Comparison in") and seeds and not seeds & tried


def test_scores_are_those_of_runs_that_were_never_stopped(tuned):
    folder, _ = tuned
    for row in rows(folder / "out"):
        if row["sample"] != rows(folder / "out")[-1]["sample"]:
            continue
        end, reached = int(row["iterations"]), []
        for seed in (3, 4):
            table = netac.run(GAME, set={"seed": seed, "topology": row["topology"],
                                         "algorithm.actor_step": float(row["algorithm.actor_step"])}).metrics
            last = (table["iteration"] > end - max(1, end // 10)) & (table["iteration"] <= end)
            reached.append(table["reward"][last].mean())
        assert float(row["score"]) == iqm(np.array(reached))


def test_bad_settings_stay_stopped(tuned):
    folder, _ = tuned
    states = [(run.state, round(run.share, 3)) for run in watching.look(folder / "out")]
    assert sorted(states) == sorted([("done", 1.0)] * 2 + [("stopped", 0.333)] * 2 + [("stopped", 0.111)] * 8)
    assert not tuning.goes_on(folder / "out")


def test_the_best_file_runs_and_is_the_best_setting(tuned):
    folder, _ = tuned
    best = rows(folder / "out")[-1]
    place, = (folder / "out" / "runs").glob(
        f"cac,topology={best['topology']},algorithm.actor_step={best['algorithm.actor_step']}")
    again, known = netac.run(folder / "out" / tuning.BEST), netac.load_result(place / "seed-003")
    assert again.summary["parameters_sha256"] == known.summary["parameters_sha256"]
    assert again.summary["iterations"] == 90 and again.summary["seed"] == 3


def test_the_test_has_seeds_of_its_own_and_the_files_own_settings_beside_it(tuned):
    folder, _ = tuned
    record, best = json.loads((folder / "out" / tuning.RECORD).read_text()), rows(folder / "out")[-1]
    assert record["seeds"] == [3, 4] and record["test_seeds"] == [1003, 1004, 1005]
    assert record["rungs"] == [{"settings": 6, "iterations": 10, "failed": 0},
                               {"settings": 2, "iterations": 30, "failed": 0},
                               {"settings": 1, "iterations": 90, "failed": 0}]
    assert record["best"]["values"] == {"algorithm.actor_step": float(best["algorithm.actor_step"]),
                                        "topology": best["topology"]}
    reached = {}
    for name, setting in (("best", record["best"]["values"]), ("own", {})):
        reached[name] = np.array([netac.run(GAME, set={**setting, "seed": seed}).summary["final_reward"]
                                  for seed in record["test_seeds"]])
        assert record["test"][name] == {"seeds": 3, "failed": 0, "score": pytest.approx(list(iqm_interval(
            reached[name])))}
    assert record["test"]["probability_of_improvement"] == list(improvement_interval(reached["best"], reached["own"]))
    compared = read_rows(folder / "out" / tuning.TEST / "comparison.csv")
    assert [(row["topology"], row["seeds"]) for row in compared] == [(best["topology"], "3"), ("", "3")]


def test_an_interrupted_tuning_comes_to_the_same(tuned, tmp_path):
    """What was not finished is missing, half of a file, or further than the rung that asks for it."""
    folder, _ = tuned
    out = shutil.copytree(folder / "out", tmp_path / "out")
    first, second, third, *_ = sorted((out / "runs").iterdir())
    shutil.rmtree(first)
    (second / "seed-003" / "summary.json").unlink()
    metrics = third / "seed-004" / "metrics.csv"
    metrics.write_text(metrics.read_text() + "35,3")
    for name in (*FILES, tuning.PICTURE):
        (out / name).unlink()
    shutil.rmtree(out / tuning.TEST)
    found = netac.tune(folder / "game.toml", VARY, **ASKED, out=out)
    for name in (*FILES, f"{tuning.TEST}/comparison_pairs.csv"):
        assert (out / name).read_text() == (folder / "out" / name).read_text(), name
    assert found.values == found.record["best"]["values"] and found.folder == out
    assert found.experiment["topology"]["name"] == found.values["topology"]


def test_settings_that_fail_are_left_behind():
    found = netac.tune(GAME, {"algorithm.critic_step": [1e6, 0.1]}, 2, seeds=1, test_seeds=1, rungs=2, jobs=1,
                       set={"iterations": 300}, metric="consensus_error", minimise=True)
    assert [(row["algorithm.critic_step"], row["status"], row["failed"], row["kept"]) for row in found.rows] == [
        ("1000000.0", "failed", 1, False), ("0.1", "ok", 0, True), ("0.1", "ok", 0, True)]
    assert "became" in found.rows[0]["error"] and found.rows[0]["score"] is None
    assert found.values == {"algorithm.critic_step": 0.1} and found.folder is None
    figure = tuning.draw_tuning(found.rows, {"algorithm.critic_step": False}, "consensus_error", False)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["rung 2", "the best", "failed"]
    with pytest.raises(RunError, match=r"no setting is left; the first failed: .*became"):
        netac.tune(GAME, {"algorithm.critic_step": [1e6]}, 1, seeds=1, test_seeds=1, rungs=1, jobs=1,
                   set={"iterations": 300})


def test_a_launch_stops_at_a_rung_too(mpi, tmp_path):
    """What a rung asks of a run of two processes."""
    source = config.read({key: value for key, value in GAME.items() if key != "study"})
    job, = jobs_of(source, Study((), (Cell(),)), 1, tmp_path, 2)
    result, = performed([replace(job, until=10)], None)
    assert result.status == "ok", result.error
    record, alone = load_run(job.folder), netac.run(GAME, until=10).summary
    assert record.stopped and record.iterations == 10 and record.summary["processes"] == 2
    assert record.summary["parameters_sha256"] == alone["parameters_sha256"]


def test_what_is_foretold_is_what_is_run(tuned, tmp_path):
    folder, _ = tuned
    asked = {key: value for key, value in ASKED.items() if key != "samples"}
    ahead = foretell_tuning(folder / "game.toml", VARY, 6, **asked, out=tmp_path / "out")
    assert ahead.rungs == ((6, 10), (2, 30), (1, 90)) and ahead.runs == 6 * 2 + 2 * 3 and ahead.seconds > 0
    assert len(ahead.settings) == 6 and ahead.at_a_time == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("arguments", "says"), [
    ({"vary": {}}, "there is nothing to tune"),
    ({"vary": {"algorithm.actor_stp": "0.1..1"}}, "unknown key"),
    ({"vary": {"topolgy": ["ring"]}}, "unknown key"),
    ({"vary": {"topology": ["ring", "rign"]}}, "rign"),
    ({"vary": {"agents": "0..4"}}, "agents"),
    ({"vary": {"algorithm": ["cac"], "algorithm.name": ["iac"]}}, "is there twice"),
    ({"samples": 0}, "a tuning tries one setting at least"),
    ({"sampler": "grid"}, "there is no such sampler .*random, optuna"),
    ({"rungs": 0}, "is no number of rungs"),
    ({"keep": "1"}, "is no share"),
    ({"keep": "half"}, "is no share"),
    ({"seeds": 0}, "is no number of seeds"),
    ({"seeds": 1001}, "is no number of seeds"),
    ({"test_seeds": 0}, "is no number of seeds"),
    ({"test_seed": 4}, "the test needs seeds that no tuning has seen .*found '4 to 6'; valid: 5 or more"),
    ({"test_seed": 1}, "the test needs seeds that no tuning has seen"),
    ({"test_seed": -9}, "is no seed"),
    ({"metric": "rewrad"}, "is no column of metrics.csv .*found 'rewrad'; valid: .*reward"),
    ({"budget": "smaples=3"}, "cannot be understood"),
    ({"budget": "simulated_seconds=3"}, "its network has no clock"),
    ({"set": {"seed": -1}}, "seed"),
])
def test_what_cannot_be_tuned_is_told_before_anything_runs(tmp_path, arguments, says):
    with pytest.raises(InputError, match=says) as caught:
        netac.tune(**{"experiment": GAME, "vary": VARY, **ASKED, "out": tmp_path / "out"} | arguments)
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_the_file_is_named_where_something_is_wrong(tmp_path):
    (tmp_path / "game.toml").write_text(tomli_w.dumps(GAME))
    done = CliRunner().invoke(cli.cli, ["tune", str(tmp_path / "game.toml"), "--vary", "agents=8..4", "--samples", "2",
                                        "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, InputError) and done.exception.exit_status == 2
    assert str(done.exception).startswith(f"{tmp_path / 'game.toml'}: --vary: agents: a range goes")


# --- Optuna ---


def test_without_optuna_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(search, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'--sampler: needs the package optuna.*pip install "netac\[tune\]"'):
        netac.tune(GAME, VARY, 3, sampler="optuna", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def parabola(setting) -> float | None:
    """A score that is best at 0.1 on a ring, and fails beyond 4."""
    step = setting["algorithm.actor_step"]
    return None if step > 4 else -np.log10(step / 0.1) ** 2 - (setting["topology"] != "ring")


def searched(number: int, seed: int, sampler: str) -> list[search.Setting]:
    drawing, found = search.begun(sampler, search.axes_of(VARY), number, seed, True), []
    batch = next(drawing)
    while batch:
        found += batch
        try:
            batch = drawing.send(list(map(parabola, batch)))
        except StopIteration:
            break
    return found


@pytest.mark.skipif(find_spec("optuna") is None, reason="needs the extra tune")
def test_optuna_draws_the_same_from_the_same_scores_and_comes_nearer():
    found = searched(30, 0, "optuna")
    assert found == searched(30, 0, "optuna") and len(set(map(search.name_of, found))) == 30
    assert found != searched(30, 1, "optuna")
    reached = {sampler: [np.mean([score for setting in searched(40, seed, sampler)
                                  if (score := parabola(setting)) is not None]) for seed in range(3)]
               for sampler in search.SEARCHES}
    assert min(reached["optuna"]) > max(reached["random"]) + 0.1


@pytest.mark.skipif(find_spec("optuna") is None, reason="needs the extra tune")
def test_optuna_finds_all_of_few_settings_and_takes_any_values():
    axes = {"agents": "2..6", "topology": [{"name": "periodic-complete", "period": 2}, "ring"]}
    drawing = search.begun("optuna", search.axes_of(axes), 9, 0, False)
    batch, found = next(drawing), []
    while True:
        found += batch
        try:
            batch = drawing.send([float(setting["agents"]) for setting in batch])
        except StopIteration:
            break
    names = set(map(search.name_of, found))
    assert len(names) == len(found) and all(type(setting["agents"]) is int for setting in found)


@pytest.mark.skipif(find_spec("optuna") is None, reason="needs the extra tune")
def test_a_tuning_with_optuna_comes_to_the_same_when_it_is_asked_for_again(tmp_path):
    asked = {"sampler": "optuna", "samples": 10, "seeds": 1, "test_seeds": 1, "jobs": 1, "set": {"iterations": 20}}
    found = netac.tune(GAME, VARY, out=tmp_path / "out", **asked)
    first, *_, last = sorted((tmp_path / "out" / "runs").iterdir())
    before = {name: (tmp_path / "out" / name).read_text() for name in FILES}
    for folder in (first, last):
        shutil.rmtree(folder)
    (tmp_path / "out" / tuning.TABLE).unlink()
    again = netac.tune(GAME, VARY, out=tmp_path / "out", **asked)
    assert again.rows == found.rows and len({row["sample"] for row in found.rows}) == 10
    assert {name: (tmp_path / "out" / name).read_text() for name in FILES} == before


@pytest.mark.parametrize(("low", "high", "fewest", "most"), [(1e-3, 0.1, 5, 8), (1e-5, 1.0, 4, 7)])
def test_logarithmic_axes_name_few_numbers_as_one_writes_them(low, high, fewest, most):
    rows = [{"sample": k, "step": float(step), "rung": 1, "iterations": 9, "score": 0.1 * k}
            for k, step in enumerate(np.geomspace(low, high, 9))]
    figure = tuning.draw_tuning(rows, {"step": True}, "reward", True)
    panel, = figure.axes
    figure.canvas.draw()
    left, right = panel.get_xlim()
    named = [text.get_text() for text in panel.get_xticklabels() if left <= text.get_position()[0] <= right]
    assert fewest <= len(named) <= most and all(float(name) > 0 for name in named)
    assert not any(text.get_text() for text in panel.get_xticklabels(minor=True))
