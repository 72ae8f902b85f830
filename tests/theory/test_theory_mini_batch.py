"""mini-batch: costs and the small reward model against brute force; mistakes in messages, models and steps are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest

from netac.algorithms.decentralized import cac, mdac
from netac.envs.finite_mdp import random_mdp
from netac.theory import Lab, mini_batch
from netac.theory._walk import save_game
from netac.utils.errors import InputError


def setup(mdp, folder) -> tuple[dict, str]:
    """The experiment's tables, and the file with the small model's features."""
    np.savez(folder / "features.npz", phi=np.eye(mdp.states), psi=mini_batch.own_actions(mdp))
    return {"agents": mdp.agents, "topology": "ring", "policy": {"shared": []},
            "env": {"name": "finite-mdp", "path": save_game(mdp, folder / "game.npz")}}, str(folder / "features.npz")


@pytest.mark.parametrize("name, rounds", [
    ("mdac", 50 + 10 + 5), ("dnac", 50 + 10 + 10 * (5 + 5)), (mini_batch.ALONE, 1 + 5), (mini_batch.SMALL, 1),
    ("cac", 1), ("dac", 1)])
@pytest.mark.parametrize("agents", [2, 4])
def test_rounds_samples_and_bytes_are_what_the_algorithm_says(name, rounds, agents, tmp_path):
    mdp, each = random_mdp(0, agents, 2, 2, "folded-normal"), mini_batch.WAYS[name].samples
    seen = mini_batch.run((name, 0.1, 0), *setup(mdp, tmp_path), 2 * each, np.inf, 0)
    assert seen.spent["samples"].tolist() == [0, each, 2 * each]
    assert seen.spent["rounds"][1] == rounds and seen.spent["rounds"][0] == 0
    numbers = {"cac": 2 + 2 * 2**agents, "dac": 2 + 2 * 2**agents, "mdac": 60 * 2 + 5 * 100,
               "dnac": 60 * 2 + 10 * 10 * 100, mini_batch.ALONE: 2 + 5, mini_batch.SMALL: 2 + 2 * (1 + agents)}
    assert seen.spent["kilobytes"][1] == pytest.approx(numbers[name] * 8 * min(2, agents - 1) / 1000)
    assert not seen.reached["J"].any()


@pytest.mark.parametrize("agents, actions", [(1, 2), (2, 3), (3, 2)])
def test_the_small_models_error_is_orthogonal_to_what_any_agent_does(agents, actions):
    """Fitted to any reward under any product of policies: E[R - fit | s, a_i] = 0, so that no score sees the error."""
    mdp, rng = random_mdp(0, agents, 2, actions, "folded-normal"), np.random.default_rng(agents)
    psi, pi = mini_batch.own_actions(mdp), rng.dirichlet(np.ones(actions), (agents, 2))
    assert psi.shape == (2, actions**agents, 2 * (1 + agents * (actions - 1)))
    assert np.linalg.matrix_rank(psi.reshape(-1, psi.shape[2])) == psi.shape[2]
    assert np.square(psi).sum(axis=2).max() <= 1.0 + 1e-12
    joints = list(product(range(actions), repeat=agents))
    chance = np.array([[np.prod([pi[i, s, a] for i, a in enumerate(joint)]) for joint in joints] for s in range(2)])
    reward, root = rng.normal(size=chance.shape), np.sqrt(chance)
    lam = np.linalg.lstsq((root[:, :, None] * psi).reshape(-1, psi.shape[2]), (root * reward).ravel())[0]
    error = chance * (reward - psi @ lam)
    for i, a in product(range(agents), range(actions)):
        own = [joint[i] == a for joint in joints]
        np.testing.assert_allclose(error[:, own].sum(axis=1), 0.0, atol=1e-12)
    if agents > 1:
        assert np.abs(error).max() > 1e-3


def test_costs_are_those_of_the_first_row_at_the_level():
    spent = {name: np.arange(4.0) for name in mini_batch.QUANTITIES}
    reached = {"J": np.array([False, True, False, True]), "gradient": np.array([False, False, True, True])}
    first = mini_batch.Expense(spent, reached)
    late = replace(first, reached=reached | {"J": np.zeros(4, bool)})
    trial = mini_batch.Trial("cac", 0.1, [first, late])
    assert trial.costs("J", "rounds").tolist() == [1.0, 3.0] and trial.share() == 0.5             # never: the last
    assert trial.costs("gradient", "samples").tolist() == [2.0, 2.0] and trial.share("gradient") == 1.0


def test_ratios_are_of_geometric_means():
    found = mini_batch.ratio(np.array([1.0, 4.0]), np.array([8.0, 8.0]))
    assert found.estimate == pytest.approx(0.25) and found.low == pytest.approx(0.125)
    assert found.high == pytest.approx(0.5)
    one, other = np.random.default_rng(0).lognormal(size=(2, 400))
    found = mini_batch.ratio(2.0 * one, other)
    assert found.low < 2.0 < found.high and 1.2 < found.high / found.low < 1.5      # sqrt(2 / 400) is the error of logs


def test_a_run_ends_where_both_levels_are_reached(tmp_path):
    mdp = random_mdp(0, 2, 2, 2, "folded-normal")
    seen = mini_batch.run((mini_batch.ALONE, 1.5, 0), *setup(mdp, tmp_path), 4_000, 0.0, 0)
    assert len(seen.reached["J"]) < 200
    assert seen.reached["J"].all() and seen.reached["gradient"].tolist().index(True) == len(seen.reached["J"]) - 1


@pytest.mark.parametrize("change, problem", [
    (lambda mdp: replace(mdp, r=mdp.r * 4), "step sizes"), (lambda mdp: replace(mdp, r=mdp.r * 0), "nothing to learn"),
    (lambda mdp: random_mdp(0, 1, 3, 2, "folded-normal"), "two agents"),
    (lambda mdp: random_mdp(0, 11, 3, 2, "folded-normal"), "too large")])
def test_games_that_do_not_fit_are_refused(change, problem):
    with pytest.raises(InputError, match=problem):
        mini_batch.refuse(change(random_mdp(0, 2, 3, 2, "folded-normal")))


# --- mutations: what is wrong is seen ---

requirements, team_reward, progress = cac.requirements, mdac.team_reward, mini_batch.progress


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """A function: the trials of some ways in the experiment's game, run until the gradient is a quarter."""
    mdp, lab = random_mdp(mini_batch.GAME, 6, 5, 2, "folded-normal"), Lab(quick=True)

    def of(names: Sequence[str]) -> dict[str, mini_batch.Trial]:
        tables, features = setup(mdp, tmp_path_factory.mktemp("game"))
        do = partial(mini_batch.run, tables=tables, features=features, samples=12_000, level=0.0, first_seed=0)
        steps = {name: (mini_batch.WAYS[name].step,) for name in names}
        return {each.way: each for each in mini_batch._trials(lab, do, steps, range(3))}
    return of


@pytest.fixture(scope="module")
def right(trials):
    return trials(tuple(mini_batch.WAYS))


def failed(found: dict[str, mini_batch.Trial]) -> set[str]:
    with np.errstate(all="ignore"):                                                         # J is there at once
        ratios = mini_batch.ratios_of(found)
    return {claim.says for claim in mini_batch._claims(found, ratios, True) if not claim.passes}


def one_by_one(t, b, sampler, network, settings):
    """Every sample's reward by rounds of its own, each with the whole batch."""
    for _ in range(b.r.shape[1]):
        found = team_reward(t, b, sampler, network, settings)
    return found


def with_step(name: str, step: float) -> dict[str, mini_batch.Way]:
    return mini_batch.WAYS | {name: replace(mini_batch.WAYS[name], step=step)}


MUTATIONS = [
    (mini_batch, "progress", lambda parts: (-progress(parts)[0], progress(parts)[1]), mini_batch.ALONE, "every way"),
    (mdac, "team_reward", one_by_one, "mdac", "save rounds"),
    (mdac, "team_reward", one_by_one, "mdac", "batches save bytes"),
    (mini_batch, "WAYS", with_step("mdac", 80.0), "mdac", "MDAC needs no more"),
    (mini_batch, "WAYS", with_step("dnac", 1000.0), "dnac", "DNAC needs more"),
    (mini_batch, "WAYS", with_step(mini_batch.ALONE, 1.5), mini_batch.ALONE, "batches cost no samples"),
    (cac, "requirements", lambda settings: replace(requirements(settings), mixed=("omega", "shared")), "cac",
     "the reward model makes most"),
    (mini_batch, "own_actions", lambda mdp: np.eye(mdp.states * mdp.joint_actions).reshape(
        mdp.states, mdp.joint_actions, -1), mini_batch.SMALL, "own actions saves"),
]


@pytest.mark.long
def test_the_quick_claims_pass(right):
    assert failed(right) == set()


@pytest.mark.long
@pytest.mark.parametrize(("module", "name", "wrong", "way", "claim"), MUTATIONS, ids=[claim for *_, claim in MUTATIONS])
def test_a_wrong_message_model_or_step_makes_a_claim_fail(monkeypatch, trials, right, module, name, wrong, way, claim):
    monkeypatch.setattr(module, name, wrong)
    assert any(claim in says for says in failed(right | trials([way])))
