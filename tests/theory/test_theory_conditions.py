"""learning-under-conditions: what a run costs and reaches, and claims that fail when they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netac.theory import _conditions_runs as runs
from netac.theory import learning_under_conditions as experiment
from netac.theory._conditions_runs import ConditionRuns, Exercise, RunCourse, speed, trailing

GAME = Exercise("coordination", {"agents": 10}, {}, "reward", 1, 0.9 * 21.25,
            {"samples": 30.0, "kilobytes": 1.0, "seconds": 1.0})
SPEEDS = [{"speed": 0.5, "foretold": 0.5}]


def course(value, seconds=None, kilobytes=None) -> RunCourse:
    """A run of rows of 10 samples each."""
    value = np.array(value, dtype=float)
    samples = 10.0 * np.arange(1, len(value) + 1)
    return RunCourse({"samples": samples, "kilobytes": samples / 10 if kilobytes is None else np.array(kilobytes),
                      "seconds": samples / 100 if seconds is None else np.array(seconds)}, value, 0.0)


def test_a_course_tells_what_was_spent_and_what_it_had():
    it = course([1, 5, 3, 7, 6])
    assert it.until(4.0) == {"samples": 20.0, "kilobytes": 2.0, "seconds": 0.2}
    assert it.until(8.0) == {"samples": np.inf, "kilobytes": np.inf, "seconds": np.inf}
    assert [it.at("samples", budget) for budget in (0, 10, 19.9, 30, 1000)] == [1, 1, 1, 3, 6]


@pytest.mark.parametrize("window", [1, 2, 3, 10])
def test_trailing_means_are_those_of_a_loop(window):
    value = np.random.default_rng(0).normal(size=7)
    assert trailing(value, window) == pytest.approx([value[max(0, k - window + 1):k + 1].mean() for k in range(7)])


@pytest.mark.parametrize("name, n, W, d", [("complete", 2, 1 / 2, 1), ("complete", 10, 1 / 10, 1),
                                           ("ring", 5, 1 / 3, 3)])
def test_late_agents_move_as_the_recursion_does(name, n, W, d):
    x, steps = [0.0], []
    for t in range(1000):
        x.append(W * x[t] + (1 - W) * (x[t - d] if t >= d else x[t]) + 1.0)
        steps.append(x[-1] - x[-2])
    measured, foretold = speed(name, n, d, 1000)
    assert measured == pytest.approx(steps[-1], rel=1e-9) and foretold == pytest.approx(1 / (1 + d * (1 - W)))
    assert measured == pytest.approx(foretold, rel=1e-9)


def test_a_run_counts_its_traffic_and_its_time():
    game = replace(experiment.coordination(3, 100, 25), window=2)
    found = runs.run((game, "cac", "plain", 5))
    T, bits = 25.0 * np.arange(1, 5), 64 * (1 + 8 + 24)         # omega, theta, lambda
    assert found.spent["samples"].tolist() == T.tolist() and found.exchanges == 100
    assert found.spent["seconds"] == pytest.approx(T * (0.02 + bits / 1e6))
    assert found.spent["kilobytes"] == pytest.approx(T * 2 * bits / 8000)
    assert len(found.value) == 4 and 5.0 < found.value[0] < 14.25
    cell = ConditionRuns(game, "cac", "plain", [found])
    assert experiment._clock_error(cell) < 1e-12
    assert experiment._clock_error(replace(cell, courses=[replace(found, exchanges=99)])) > 1e-3
    late = runs.run((game, "cac", "delay 1", 5))
    assert np.isnan(late.spent["seconds"]).all()
    row = ConditionRuns(game, "cac", "delay 1", [late]).at_row()
    assert row["at seconds"] is None and row["at samples"] is not None
    assert ConditionRuns(game, "cac", "delay 1", [late]).until_row()["samples"] is None


def cells(**changes) -> experiment.Cells:
    """Cells of which all claims hold; by "algorithm condition" others in their place."""
    fast, slow = course([19.2, 21.2], [0.5, 1.0], [0.5, 1.0]), course([5, 5, 19.2, 21.2], [1, 2, 3, 4], [3, 4, 6, 8])
    late = course([5, 5, 5, 5, 19.2, 19.2])
    all_of = {"cac plain": slow, "cac loss 10 %": slow, "cac loss 50 %": slow, "cac 4 bits": fast, "cppo plain": slow,
              "cppo 4 bits": fast, "cac delay 1": late, "cac delay 10": course([5, 6])}
    found: experiment.Cells = {}
    for name, one in {**all_of, **changes}.items():
        algorithm, condition = name.split(" ", 1)
        ours = replace(one, spent=dict(one.spent, seconds=np.full(len(one.value), np.nan))) if "delay" in name else one
        found["coordination", algorithm, condition] = ConditionRuns(GAME, algorithm, condition, [ours])
    for name, value in (("cppo", 7.0), ("cppo, own rewards", 20.0)):
        longer = replace(GAME, name=experiment.LONGER)
        found[longer.name, name, "delay 3"] = ConditionRuns(longer, name, "delay 3", [course([5, value])])
    mdp = replace(GAME, name="networked MDP")
    for condition, J in (("plain", 0.55), ("loss 30 %", 0.54), ("delay 3", 0.49)):
        found[mdp.name, "mdac", condition] = ConditionRuns(mdp, "mdac", condition, [course([J])])
    return found


def failing(found: experiment.Cells, speeds=SPEEDS) -> list[str]:
    return [claim.says for claim in experiment.claims(found, speeds)
            if not claim.passes and not claim.says.startswith("the radio's time")]


def test_the_claims_tell_good_from_bad():
    assert failing(cells()) == []
    slow, bad = (course([5, 5, 19.2, end], [1, 2, 3, 4], [3, 4, 6, 8]) for end in (21.2, 17.0))
    for name, change, said in (
            ("cac loss 10 %", bad, "10 % of the messages"), ("cac loss 50 %", bad, "50 % of the messages"),
            ("cac 4 bits", slow, "a fifth of the bytes"), ("cac delay 1", slow, "one iteration late"),
            ("cac delay 10", course([5, 20]), "ten iterations late")):
        broken = failing(cells(**{name: change}))
        assert len(broken) == 1 and said in broken[0], (name, broken)
    assert len(failing(cells(**{"cppo 4 bits": slow}))) == 2
    assert failing(cells(), [{"speed": 0.5, "foretold": 0.6}]) == [
        "who hears d iterations late moves 1 + d (1 - W_ii) times more slowly"]


@pytest.mark.parametrize("key, end", [
    (("networked MDP", "mdac", "loss 30 %"), 0.50), (("networked MDP", "mdac", "delay 3"), 0.54),
    ((experiment.LONGER, "cppo", "delay 3"), 20.0), ((experiment.LONGER, "cppo, own rewards", "delay 3"), 7.0)])
def test_the_claims_of_late_and_lost_rewards_tell_good_from_bad(key, end):
    found = cells()
    found[key] = replace(found[key], courses=[course([end])])
    assert len(failing(found)) == 1


def test_the_level_of_an_mdp_lies_between_its_start_and_its_best():
    game = experiment.finite_mdp()
    assert experiment.START < game.level < 0.6351674677355367 and game.level == pytest.approx(0.528, abs=1e-3)


# --- conditions that are not what they are called ---

def test_a_radio_that_is_slower_fails(monkeypatch):
    monkeypatch.setattr(runs, "RADIO", runs.RADIO | {"latency": 0.03})
    game = experiment.coordination(3, 50, 25)
    cell = ConditionRuns(game, "cac", "plain", [runs.run((game, "cac", "plain", 0))])
    said = [claim.says for claim in experiment.claims({("coordination", "cac", "plain"): cell}, SPEEDS)
            if not claim.passes]
    assert said == ["the radio's time is exchanges times latency and bits over bandwidth"]


def test_messages_that_are_later_than_said_fail(monkeypatch):
    right = runs.Delay
    monkeypatch.setattr(runs, "Delay", lambda least, most: right(least + 1, most + 1))
    measured, foretold = speed("ring", 5, 1, 300)
    assert failing(cells(), [{"speed": measured, "foretold": foretold}]) == [
        "who hears d iterations late moves 1 + d (1 - W_ii) times more slowly"]


TEN = experiment.coordination(10, 2500, 1000)
MISNAMED = {          # what a condition does in the place of what it is called
    "loss 10 %": ({"delay": 10}, "10 % of the messages"), "loss 50 %": ({"delay": 10}, "50 % of the messages"),
    "4 bits": ({}, "a fifth of the bytes"), "delay 1": ({"delay": 3}, "one iteration late"),
    "delay 10": ({}, "ten iterations late")}


def of_cac(condition: str) -> ConditionRuns:
    return ConditionRuns(TEN, "cac", condition, [runs.run((TEN, "cac", condition, seed)) for seed in range(2)])


@pytest.fixture(scope="module")
def learnt() -> dict:
    """CAC's cells of the coordination game, learnt as in the experiment."""
    return {("coordination", "cac", condition): of_cac(condition) for condition in ("plain", *MISNAMED)}


@pytest.mark.long
@pytest.mark.parametrize("condition", MISNAMED)
def test_a_condition_that_does_something_else_makes_its_claim_fail(monkeypatch, learnt, condition):
    table, said = MISNAMED[condition]

    def fails(found: dict) -> bool:
        return any(said in says for says in failing(found))

    monkeypatch.setitem(runs.CONDITIONS, condition, table)
    assert not fails(learnt) and fails(learnt | {("coordination", "cac", condition): of_cac(condition)})


@pytest.mark.long
@pytest.mark.parametrize(("condition", "table", "said"), [
    ("loss 30 %", {"delay": 3}, "30 % of the messages are lost"), ("delay 3", {}, "bears messages")])
def test_batches_under_another_condition_fail(monkeypatch, condition, table, said):
    game, found = experiment.finite_mdp(), cells()
    at = ("networked MDP", "mdac", condition)
    found |= {("networked MDP", "mdac", each): ConditionRuns(game, "mdac", each, [runs.run((game, "mdac", each, 0))])
              for each in ("plain", "loss 30 %", "delay 3")}
    assert failing(found) == []
    monkeypatch.setitem(runs.CONDITIONS, condition, table)
    found[at] = ConditionRuns(game, "mdac", condition, [runs.run((game, "mdac", condition, 0))])
    assert any(said in says for says in failing(found))


@pytest.mark.long
@pytest.mark.parametrize(("name", "other", "said"), [
    ("cppo", "cppo, own rewards", "does not learn"), ("cppo, own rewards", "cppo", "own rewards it does")])
def test_rewards_of_the_other_kind_make_a_claim_fail(name, other, said):
    pytest.importorskip("torch")
    game, found = experiment.whose_rewards(), cells()
    learnt = ConditionRuns(game, name, "delay 3", [runs.run((game, other, "delay 3", 0))])
    found[game.name, name, "delay 3"] = learnt
    assert [said in says for says in failing(found)] == [True]


@pytest.mark.long
def test_four_bits_that_are_thirty_two_fail(monkeypatch):
    pytest.importorskip("torch")
    names = [("cac", "plain"), ("cppo", "plain"), ("cppo", "4 bits")]
    found = {("coordination", *each): ConditionRuns(TEN, *each, [runs.run((TEN, *each, 0))]) for each in names}
    assert failing(found) == []
    monkeypatch.setitem(runs.CONDITIONS, "4 bits", {})
    found["coordination", "cppo", "4 bits"] = ConditionRuns(TEN, "cppo", "4 bits", [runs.run((TEN, *names[2], 0))])
    assert any("sooner with 4 bits" in says for says in failing(found))
