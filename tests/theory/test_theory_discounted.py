"""The steps with and without gamma^t against every course of an episode, and mistakes that make a claim fail."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import softmax

from netac.envs._batched import check_batched
from netac.exact import objective, value_function
from netac.theory import Lab, _episodes, discounted_gradient
from netac.theory._episodes import END, STEPS, Investments, Played, direction, investment, play, random_episodes
from netac.theory.discounted_gradient import BLIND, GAMMA, SEEING, WITH, WITHOUT

QUICK = Lab(quick=True)


def plain_direction(logits: np.ndarray, seen: np.ndarray, weight: float) -> np.ndarray:
    """Summed over every course of an episode of `investment`."""
    mdp, pi = investment(), softmax(logits, axis=-1)[:, seen]
    V, found = value_function(mdp, pi), np.zeros_like(logits)
    for course in product(product(range(2), repeat=2), repeat=STEPS):
        state, chance, here = 0, 1.0, np.zeros_like(logits)
        for t, actions in enumerate(course):
            joint = 2 * actions[0] + actions[1]
            after = int(mdp.P[state, joint].argmax())
            A = mdp.team_reward[state, joint] + mdp.gamma * V[after] - V[state]
            for agent, action in enumerate(actions):
                chance *= pi[agent, state, action]
                here[agent, seen[state]] += weight**t * A * (np.eye(2)[action] - pi[agent, state])
            state = after
        assert state == END
        found += chance * here
    return found


@pytest.mark.parametrize("seen", [BLIND, SEEING, np.array([0, 1, 0, 1, 0])], ids=["blind", "seeing", "two alike"])
@pytest.mark.parametrize("weight", [GAMMA, 1.0, 0.0])
def test_directions_by_every_course(seen, weight):
    logits = np.random.default_rng(0).standard_normal((2, 2, seen.max() + 1, 2))
    wanted = [plain_direction(each, seen, weight) for each in logits]
    np.testing.assert_allclose(direction(investment(), logits, seen, weight), wanted, atol=1e-14)


def test_values_are_those_of_the_exact_library():
    rng = np.random.default_rng(1)
    mdp, logits = random_episodes(rng), rng.standard_normal((2, 5, 2))
    J = objective(mdp, softmax(logits, axis=-1))
    assert (1.0 - mdp.gamma) * play(mdp, logits, SEEING).value(mdp.gamma) == pytest.approx(J)
    np.testing.assert_allclose(discounted_gradient.best("blind"), [0.25, 1.75])
    np.testing.assert_allclose(discounted_gradient.best("seeing"), [0.75, 0.75])


@pytest.mark.parametrize("seeing", [False, True])
def test_the_game_that_is_played_is_the_one_that_is_solved(seeing):
    games, mdp = Investments(2, 64, seeing), investment()
    check_batched(games, 2, 64, "investment")
    games.begin(0, 0)
    courses, paid = np.array(list(product(product(range(2), repeat=2), repeat=STEPS))), np.zeros(64)
    for t in range(STEPS):
        assert (games.observe(range(2))[0] == (games.state() if seeing else 1.0)).all()
        step = games.step(courses[:, t].T)
        paid += GAMMA**t * step.r[0]
    assert step.done.all() and step.terminated.all()
    even = np.zeros((2, END + 1, 2))
    assert paid.mean() == pytest.approx(play(mdp, even, SEEING).value(GAMMA))
    games.restart(np.arange(64) < 3)
    assert (games.state()[:3, 0] == 1.0).all() and not games.state()[3:].any()


# --- claims, and mistakes ---

def failed(learned: list | None = None) -> set[str]:
    """Claims that fail, of the exact parts and of rows of learners."""
    directions = discounted_gradient.direction_rows(QUICK)
    logits = QUICK.rng(0).standard_normal((4, 2, 5, 2))
    ends = [discounted_gradient._end_row(seen, weight, discounted_gradient.course(
        logits, discounted_gradient.SEEN[seen], GAMMA if weight == WITH else 1.0, 150))
        for seen, weight in product(discounted_gradient.SEEN, (WITH, WITHOUT))]
    claims = discounted_gradient.claims_of(directions, ends, learned or [])
    return {claim.says for claim in claims if not claim.passes}


def test_claims_hold():
    assert failed() == set()


visits = Played.visits
MUTATIONS = {
    "gamma^t is dropped": ((Played, "visits", lambda played, weight: visits(played, 1.0)), "is the gradient"),
    "gamma^t is dropped, blindly": ((Played, "visits", lambda played, weight: visits(played, 1.0)),
                                    "the best of their policies"),
    "gamma^t is kept": ((Played, "visits", lambda played, weight: visits(played, GAMMA)), "end at the worst"),
    "gamma^t of every game": ((Played, "visits", lambda played, weight: visits(played, 0.8)), "of no function"),
    "the wrong way": ((discounted_gradient, "direction", lambda *given: -direction(*given)), "best joint policy"),
    "another game": ((_episodes, "PRICE", 2.0), "end at the worst"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_makes_a_claim_fail(monkeypatch, name):
    change, claim = MUTATIONS[name]
    monkeypatch.setattr(*change)
    assert any(claim in says for says in failed())


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def of_learners(discounted: bool) -> set[str]:
    """Claims that fail where haa2c learns so, and as it should otherwise."""
    got = discounted_gradient.learn(("haa2c", discounted, 0, 60))
    rows = []
    for option, (end, late) in {True: (0.25, 1.75), False: (0.0, 0.0), discounted: got}.items():
        rows.append({"discounted_gradient": option, "least": end, "most": end, "least_undiscounted": late,
                     "most_undiscounted": late})
    return failed(rows)


@pytest.mark.parametrize("discounted", [True, False])
def test_learners_end_where_the_exact_steps_do(torch, discounted):
    assert of_learners(discounted) == set()


def test_learners_that_forget_the_option_fail(torch, monkeypatch):
    from netac.algorithms.centralized import _sequential
    own = _sequential.own_advantages
    monkeypatch.setattr(_sequential, "own_advantages", lambda A, active, how, discounts: own(A, active, how))
    assert any("learn the best" in says for says in of_learners(True))


def test_learners_that_always_discount_fail(torch, monkeypatch):
    from netac.experiment import on_policy_agents
    monkeypatch.setattr(on_policy_agents, "discounts", lambda settings: True)
    assert any("learn the worst" in says for says in of_learners(False))
