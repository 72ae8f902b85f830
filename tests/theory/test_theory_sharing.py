"""personal-and-shared: its games and runs against brute force and netac's own, and a mistake makes each claim fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import netac
from netac import topology
from netac.algorithms.decentralized import cac
from netac.envs.coordination import CoordinationGame
from netac.exact import objective, optimal_objective
from netac.theory import Lab, _spread_goals, _tasks
from netac.theory import personal_and_shared as experiment
from netac.theory._cac_copies import Copies, run
from netac.theory._tasks import FORMS
from netac.theory.personal_and_shared import World, crossing, direction

# --- games ---

@pytest.mark.parametrize("agents", [1, 2, 5])
def test_tasks_are_as_alike_as_the_knob_says(agents):
    for unlike in (0.0, 0.3, 1.0):
        mdp = _tasks.tasks(unlike, agents)
        joint = _tasks.signs(agents)
        x = mdp.r[:, -1]                                                        # (S, N): all take action 1
        np.testing.assert_allclose(mdp.r, x[:, None] * joint)
        if agents > 1:
            np.testing.assert_allclose(np.square(x).mean(axis=1), np.ones(4), atol=1e-12)
            pairs = (x.sum(axis=1)**2 - np.square(x).sum(axis=1)) / agents / (agents - 1)
            np.testing.assert_allclose(pairs, 1.0 - unlike - unlike / (agents - 1), atol=1e-12)
        ones = (joint > 0).mean(axis=1)
        np.testing.assert_allclose(mdp.P, (1 - ones)[:, None] * mdp.P[:, :1] + ones[:, None] * mdp.P[:, -1:])


def test_the_coordination_game_is_netacs_where_tasks_are_alike():
    mdp, game = _tasks.coordination(0.0), CoordinationGame(4, noise=False)
    taken = np.stack(np.unravel_index(np.arange(8**4), (8,) * 4))
    own, team = game.rewards(np.zeros(1, int), taken, np.zeros(1, int), range(4))
    np.testing.assert_allclose(mdp.r[0], own.T)
    np.testing.assert_allclose(mdp.team_reward[0], team)
    favourites = _tasks.coordination(1.0).r[0].reshape(8, 8, 8, 8, 4)
    assert favourites[1, 2, 5, 6].tolist() == [12.25] * 4 and favourites[1, 1, 1, 6].tolist() == [14.25, 2, 2, 12.25]


@pytest.mark.parametrize("unlike", [0.0, 0.5, 1.0])
def test_no_shared_policy_beats_the_best_of_one_action_for_all(unlike):
    rng = np.random.default_rng(0)
    for mdp in (_tasks.tasks(unlike, 3), _tasks.coordination(unlike)):
        decided = [np.eye(mdp.actions)[list(each)] for each in product(range(mdp.actions), repeat=mdp.states)]
        tried = [objective(mdp, np.tile(pi, (mdp.agents, 1, 1))) for pi in decided]
        assert _tasks.best(mdp, "shared") == pytest.approx(max(tried))
        drawn = rng.dirichlet(np.ones(mdp.actions), (50, mdp.states))
        assert max(objective(mdp, np.tile(pi, (mdp.agents, 1, 1))) for pi in drawn) <= max(tried)
        assert _tasks.best(mdp, "partly") == _tasks.best(mdp, "personal") == optimal_objective(mdp)


# --- runs side by side ---

@pytest.mark.parametrize("graph", ["ring", "complete", {"name": "gossip", "base": "ring", "probability": 0.5}])
@pytest.mark.parametrize("game", [_tasks.tasks(0.3, 1), _tasks.tasks(0.3, 2), _tasks.tasks(0.3, 4),
                                  _tasks.coordination(0.5)], ids=["1", "2", "4", "coordination"])
def test_copies_are_netacs_runs(game, graph, tmp_path):
    """To rounding, of three forms with seeds and steps of their own, under any weights."""
    if graph != "complete" and game.agents < 3:
        pytest.skip("a ring needs three")
    steps = np.array([[0.5, 0.1, 0.2], [0.3, 0.2, 0.1], [0.7, 0.1, 0.1]])
    loaded = topology.load(graph, game.agents)
    copies = Copies([game], np.zeros(3, int), (7, 8, 9), np.array([True, True, False]), np.array([False, True, True]),
                    steps, lambda t: loaded.matrix(t).toarray(), _tasks.features(game), 1.0)
    *_, x = run(copies, [10, 60])
    for k, form in enumerate(FORMS):
        tables = _tasks.tables(game, form, tmp_path)
        tables["env"]["noise"] = 1.0
        actor, critic, reward = steps[k].tolist()
        found = netac.run({**tables, "iterations": 60, "seed": 7 + k, "topology": graph, "algorithm": {
            "name": "cac", "actor_step": actor, "critic_step": critic, "reward_step": reward}}).parameters
        ours = x.tables[[[0], [0, 1], [1]][k], k].swapaxes(0, 1).reshape(game.agents, -1)
        np.testing.assert_allclose(found["theta"], ours, atol=1e-12)
        np.testing.assert_allclose(found["omega"], x.omega[k], atol=1e-12)
        np.testing.assert_allclose(found["lambda"], x.lam[k], atol=1e-12)
        np.testing.assert_allclose(x.policies(k).sum(axis=-1), 1.0)


# --- the actor's direction ---

def test_the_directions_bias_and_variance_by_brute_force():
    mdp = _tasks.tasks(0.4, 2, states=2)
    chain = np.einsum("sjt->st", mdp.P) / 4
    mu, V = np.linalg.matrix_power(chain, 200)[0], np.zeros(2)
    for _ in range(300):
        V = mdp.team_reward.mean(axis=1) + mdp.gamma * chain @ V
    drawn = []
    for s, (j, actions), t in product(range(2), enumerate(product(range(2), repeat=2)), range(2)):
        delta = mdp.r[s, j].mean() + mdp.gamma * V[t] - V[s]
        one = np.zeros((2, 2, 2))
        for i, a in enumerate(actions):
            one[i, s] = delta * (np.eye(2)[a] - 0.5)
        drawn.append((mu[s] * 0.25 * mdp.P[s, j, t], one))
    mean = sum(p * one for p, one in drawn)
    common = sum(p * 2 * np.square((one - mean).mean(axis=0)).sum() for p, one in drawn)
    whole = sum(p * np.square(one - mean).sum() for p, one in drawn)
    found = direction(mdp, 0.4)
    assert found.bias == pytest.approx(np.square(mean - mean.mean(axis=0)).sum())
    assert found.common == pytest.approx(common) and found.common + found.own == pytest.approx(whole)
    assert found.error(1.0, 5) == pytest.approx(whole / 5)
    assert found.error(0.0, 5) == pytest.approx(found.bias + common / 5)
    assert found.error(0.0, found.up_to) == pytest.approx(found.error(1.0, found.up_to))


@pytest.mark.parametrize(("gains", "where"), [([2.0, -2.0], 0.5), ([3.0, -1.0], 0.75), ([1.0, 1.0], None),
                                              ([-1.0, -1.0], None)])
def test_crossings_are_between_two_knobs(gains, where):
    assert crossing((0.0, 1.0), gains) == pytest.approx(where) if where else np.isnan(crossing((0.0, 1.0), gains))


# --- mistakes ---

TASKS = World("tasks", (0.0, 0.3, 0.6, 1.0), 1.0, (0.4, 2.5), (400, 1600), 6)
COORDINATION = World("coordination", (0.0, 1.0), 2.0, (0.1,), (400,), 8)


@pytest.fixture(scope="module")
def cells():
    """What is learned without a mistake."""
    return experiment.learned(Lab(), (TASKS, COORDINATION))


@pytest.fixture(scope="module")
def networks():
    """What is learned with personal goals, without a mistake."""
    return _spread_goals.sailed(Lab(quick=True))


@pytest.fixture(autouse=True)
def networks_once(request, monkeypatch):
    """Networks learn once, for the tests of what is made of it."""
    if "cells" in request.fixturenames:
        found = request.getfixturevalue("networks")
        monkeypatch.setattr(_spread_goals, "sailed", lambda lab: found)


def failed(monkeypatch, *worlds: World) -> set[str]:
    monkeypatch.setattr(experiment, "QUICK", worlds)
    return {claim.says for claim in experiment.experiment(Lab(quick=True)).claims if not claim.passes}


def test_all_claims_hold_of_small_worlds(monkeypatch, cells):
    monkeypatch.setattr(experiment, "learned", lambda lab, worlds: cells)
    assert not failed(monkeypatch, TASKS, COORDINATION)


def wrong_direction(**changes):
    """`direction`, with fields put wrong by functions of it."""
    def made(mdp, unlike):
        found = direction(mdp, unlike)
        return replace(found, **{name: change(found) for name, change in changes.items()})
    return made


def copies_that_do_not_mix(*fields):
    whole = Copies(*fields)
    return replace(whole, W=lambda t: np.eye(whole.games[0].agents))


def without_own_tables_of_partly(*fields):
    whole = Copies(*fields)
    return replace(whole, own=whole.own & ~whole.mixed)


MUTATIONS = {
    "the actor's part is not mixed": (
        cac, "requirements", lambda settings, made=cac.requirements: replace(made(settings), mixed=("omega", "lam")),
        "the runs, made side by side"),
    "copies do not mix": (experiment, "Copies", copies_that_do_not_mix, "learn more from equally many"),
    "tasks are alike at every knob": (
        _tasks, "tasks", lambda unlike, made=_tasks.tasks: made(0.0), "learn more if they do not"),
    "tasks are unlike at every knob": (
        _tasks, "tasks", lambda unlike, made=_tasks.tasks: made(1.0), "sharing costs nothing"),
    "shared policies may do anything": (
        _tasks, "best", lambda mdp, form: optimal_objective(mdp), "at least half of all"),
    "partly shared is all shared": (experiment, "Copies", without_own_tables_of_partly, "loses least with partly"),
    "looks in the wrong order": (
        experiment, "learn", lambda item, seed, made=experiment.learn: made(item, seed)[::-1], "pays sooner"),
    "a quarter of the bias": (
        _tasks, "best", lambda mdp, form, made=_tasks.best: (made(mdp, form) + 3 * made(mdp, "personal")) / 4,
        "cross where the bias"),
    "a sum in place of a mean": (
        experiment, "direction", wrong_direction(common=lambda d: 8 * d.common), "has less variance"),
    "directions that are independent": (
        experiment, "direction", wrong_direction(common=lambda d: (d.common + d.own) / 8,
                                                 own=lambda d: 7 * (d.common + d.own) / 8), "has 1/N"),
    "no bias": (experiment, "direction", wrong_direction(bias=lambda d: 0.0), "its bias grows"),
    "a bias that is not squared": (
        experiment, "direction", wrong_direction(bias=lambda d: np.sqrt(d.bias)), "of 10 samples"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_makes_a_claim_fail(monkeypatch, name, cells):
    module, attribute, wrong, claim = MUTATIONS[name]
    monkeypatch.setattr(module, attribute, wrong)
    if attribute == "direction":                        # of which nothing is learned
        monkeypatch.setattr(experiment, "learned", lambda lab, worlds: cells)
    assert any(claim in says for says in failed(monkeypatch, TASKS))


@pytest.mark.parametrize(("wrong", "claim"), [
    (lambda made: lambda unlike, form: made(unlike, "personal" if form == "shared" else form),
     "goals that are alike learn more"),                                              # nothing is mixed
    (lambda made: lambda unlike, form: made(0.0, form), "goals of their own learn more"),           # goals stay alike
    (lambda made: lambda unlike, form: made(unlike, "shared" if form == "partly" else form),
     "a shared layer and an output of one's own"),                                    # outputs are mixed, too
], ids=["nothing mixed", "goals alike", "outputs mixed"])
def test_a_mistake_makes_a_claim_of_networks_fail(monkeypatch, networks, wrong, claim):
    """The mistakes are in the experiment's tables; their runs are among those that were made."""
    voyage, found = networks
    known = {str(_spread_goals.tables(*case)): rewards for case, rewards in found.items()}
    made = wrong(_spread_goals.tables)
    mistaken = {case: known[str(made(*case))] for case in found}
    assert all(each.passes for each in _spread_goals.claims(voyage, found))
    assert any(claim in each.says for each in _spread_goals.claims(voyage, mistaken) if not each.passes)


def test_rewards_of_parts_are_means_of_their_iterations():
    found = _spread_goals.sail((0.5, "partly", 3), 6)
    every = netac.run({**_spread_goals.tables(0.5, "partly"), "seed": 3, "iterations": 6, "log_every": 1}).metrics
    np.testing.assert_allclose(found, every["reward"][1:].reshape(3, 2).mean(axis=1))
    assert _spread_goals.Voyage((0.0,), 6, 1).samples(2) == every["env_steps"][-1] == 6 * 400


def test_networks_share_what_the_form_says():
    sizes = {form: netac.run({**_spread_goals.tables(0.0, form), "seed": 0, "iterations": 1}).metrics
             for form in FORMS}
    policy = {form: found["bytes_consensus"][-1] for form, found in sizes.items()}
    assert policy["shared"] > policy["partly"] > policy["personal"] > 0
