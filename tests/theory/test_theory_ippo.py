"""ippo-and-mappo: directions and rows against plain loops, and for each claim a mistake that makes it fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

from netac.algorithms.policy_gradient.surrogates import clipped
from netac.theory import Claim, Lab, _clip_runs, _local_critics, _trust_updates, ippo_and_mappo
from netac.theory._clip_runs import LARGE, PAPER, Moved, Trained
from netac.theory._local_critics import Ascent, ascend, difference, direction, exact
from netac.theory._trust_games import DecMDP, observed, random_dec_mdp, random_policies, team_game, through_noise
from netac.theory._trust_updates import Climb, Training, train

QUICK = Lab(quick=True)


# --- directions ---

def by_loops(game: DecMDP, pi: np.ndarray, lambda_: float, central: bool) -> np.ndarray:
    """TD(lambda) by repeating its mean step, GAE by adding up 400 steps, and means of scores one by one."""
    mdp, (agents, states) = game.mdp, game.local.shape
    joint = list(product(range(mdp.actions), repeat=agents))
    p = np.array([[np.prod([pi[k, game.local[k, s], a[k]] for k in range(agents)]) for a in joint]
                  for s in range(states)])
    P, r = np.einsum("sj,sjt->st", p, mdp.P), (p * mdp.team_reward).sum(axis=1)
    mu = np.linalg.matrix_power(P, 2000)[0]
    found = np.zeros_like(pi)
    for k in range(agents):
        labels = np.arange(states) if central else game.local[k]
        v = np.zeros(labels.max() + 1)
        for _ in range(600):
            step, ahead = np.zeros_like(v), np.eye(states)
            delta = r + mdp.gamma * P @ v[labels] - v[labels]
            errors = np.zeros(states)
            for n in range(60):
                errors += (mdp.gamma * lambda_)**n * ahead @ delta
                ahead = ahead @ P
            for s in range(states):
                step[labels[s]] += mu[s] * errors[s]
            v += step
        delta = r + mdp.gamma * P @ v[labels] - v[labels]
        later, ahead = np.zeros(states), np.eye(states)
        for n in range(400):
            later += (mdp.gamma * lambda_)**n * ahead @ delta
            ahead = ahead @ P
        for s, (j, a), b in product(range(states), enumerate(joint), range(mdp.actions)):
            A = mdp.team_reward[s, j] - v[labels[s]] + mdp.P[s, j] @ (mdp.gamma * v[labels]
                                                                      + mdp.gamma * lambda_ * later)
            own = pi[k, game.local[k, s], b]
            found[k, game.local[k, s], b] += mu[s] * p[s, j] * A * ((a[k] == b) - own)
    return found


@pytest.mark.parametrize("central", [False, True])
@pytest.mark.parametrize(("agents", "lambda_"), [(1, 0.5), (2, 0.0), (2, 0.9)])
def test_directions_by_loops(agents, lambda_, central):
    rng = np.random.default_rng(agents)
    game = random_dec_mdp(agents, 2, 2, 0.5, rng)
    pi = random_policies(game, rng)
    np.testing.assert_allclose(direction(game, pi, lambda_, central), by_loops(game, pi, lambda_, central), atol=1e-9)


def test_agents_that_see_the_state_have_the_exact_direction_and_others_have_not():
    rng = np.random.default_rng(0)
    game = random_dec_mdp(2, 3, 2, 0.9, rng)
    pi = random_policies(game, rng)
    seeing = observed(game.mdp)
    np.testing.assert_allclose(direction(seeing, game.lift(pi), 0.3, False), exact(seeing, game.lift(pi)), atol=1e-12)
    assert difference(game, pi, 0.3, False).size > 1e-3
    assert difference(game, pi, 0.3, True).size < 1e-12


def test_ascents_begin_where_all_actions_are_alike_and_follow_the_direction():
    game, pi = through_noise()
    J = ascend(Ascent(game, 0.5, False, 2.0, 1))
    logits = 2.0 * direction(game, pi, 0.5, False)
    new = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    assert J.tolist() == pytest.approx([_local_critics.objective(game.mdp, game.lift(each)) for each in (pi, new)])


# --- rows ---

def climb_of(score: Sequence[float], tvs: float = 0.1, agents: int = 2) -> Climb:
    looks = len(score)
    return Climb(np.array(score), np.full(looks, 0.3), np.full((looks, agents), tvs), np.ones(looks), np.ones(looks))


def test_what_is_lost_is_the_sum_of_all_falls():
    cell = Trained(2, 0.1, "joint", [climb_of([0.2, 0.6, 0.5, 0.7, 0.4]), climb_of([0.1, 0.2, 0.3, 0.4, 0.5])])
    assert cell.lost.tolist() == pytest.approx([0.4, 0.0]) and cell.final.tolist() == [0.4, 0.5]
    assert cell.mean.tolist() == pytest.approx([0.48, 0.3]) and cell.early == pytest.approx((0.3, 0.2))
    assert cell.row["lost"] == pytest.approx(0.2) and cell.row["final"] == pytest.approx(0.45)


def test_rows_of_updates_count_agents():
    one = Moved(2, "fixed", 0.2, np.array([[0.05, 0.15], [0.25, 0.35]]))
    assert one.over(0.3) == 0.25 and one.row["below 0.1"] == 0.25 and one.row["below 0.4"] == 1.0
    assert one.row["mean sum over agents"] == pytest.approx(0.4) and one.row["median"] == pytest.approx(0.2)


def test_an_agents_total_variation_is_the_largest_over_states():
    training = Training(2, (1,), 0.2, epochs=5)
    game_seed, sample_seed = np.random.SeedSequence(training.seed).spawn(2)
    game = team_game(2, 3, 0.9, np.random.default_rng(game_seed))
    rng = np.random.default_rng(sample_seed)
    logits = 0.5 * rng.standard_normal((2, 3, 2))
    batch = _trust_updates.collect(game, _trust_updates.probabilities(logits), 256, rng)
    *_, new = _trust_updates.climb(logits, batch, training)
    old, new = (_trust_updates.probabilities(each) for each in (logits, new))
    wanted = [max(abs(new[k, s, 1] - old[k, s, 1]) for s in range(3)) for k in range(2)]
    np.testing.assert_allclose(train(training).tvs, [wanted])


# --- mistakes ---

@cache
def pair(training: Training) -> tuple[Climb, Climb]:
    return _trust_updates.against(training)


def clipped_at(epsilon: float) -> Callable[[Training], tuple[Climb, Climb]]:
    return lambda training: pair(replace(training, epsilon=epsilon))


def small_as_the_papers(training: Training) -> tuple[Climb, Climb]:
    return pair(replace(training, epsilon=max(training.epsilon, PAPER)))


def unclipped(log_ratio, A, **_):
    return clipped(log_ratio, A, epsilon=float("inf"))


GROUPS: dict[str, Callable[[], Sequence[Claim]]] = {
    "moved": lambda: ippo_and_mappo.moved_claims(_clip_runs.moved(QUICK)),
    "learned": lambda: ippo_and_mappo.learned_claims(_clip_runs.learned(QUICK)),
    "directions": lambda: ippo_and_mappo.direction_claims(ippo_and_mappo.direction_rows(QUICK)),
    "ascents": lambda: ippo_and_mappo.ascent_claims(ippo_and_mappo.ascents(QUICK)),
}


class Mutation(NamedTuple):
    group: str
    where: Any
    name: str
    wrong: Any
    fails: tuple[str, ...]
    """How the claims begin that have to fail; others may."""


_td, _gae, _steps = _local_critics.td_lambda, _local_critics.gae, _local_critics.direction
_tv = _trust_updates.tv

MUTATIONS = [
    Mutation("moved", _trust_updates, "clipped", unclipped, ("clipped at 0.1 all", "the larger the clip range")),
    Mutation("moved", _trust_updates, "tv", lambda p, q: 2.0 * _tv(p, q), ("clipped at 0.1 all", "with alpha / N")),
    Mutation("moved", _trust_updates, "tv", lambda p, q: _tv(p, q) / len(p), ("their sum", "without clipping")),
    Mutation("moved", _trust_updates, "tv", lambda p, q: np.tile(_tv(p, q).sum(axis=0), (len(p), 1)),
             ("at a fixed clip range",)),
    Mutation("learned", _clip_runs, "against", clipped_at(PAPER), ("with many agents and a clip range of 1",)),
    Mutation("learned", _clip_runs, "against", clipped_at(LARGE), ("clipped at 0.1 it does, more",)),
    Mutation("learned", _clip_runs, "against", lambda training: pair(training)[:1] * 2, ("clipping the joint ratio",)),
    Mutation("learned", _clip_runs, "against", lambda training: pair(training)[::-1],
             ("too small a clip range of the joint",)),
    Mutation("learned", _clip_runs, "against", small_as_the_papers,
             ("too small a clip range moves", "the more so")),
    Mutation("learned", Climb, "sum_of_tvs", property(lambda self: self.tvs.mean(axis=-1)), ("the trust region of",)),
    Mutation("directions", _local_critics, "gae", lambda mdp, chain, v, lambda_: _gae(mdp, chain, v, 0.9 * lambda_),
             ("with lambda = 1 critics of local",)),
    Mutation("directions", _local_critics, "td_lambda",
             lambda chain, labels, gamma, lambda_: _td(chain, labels, 0.9 * gamma, lambda_),
             ("a critic of the state",)),
    Mutation("directions", ippo_and_mappo, "difference",
             lambda game, pi, _, central: difference(game, pi, 1.0, central), ("critics at their fixed points",)),
    Mutation("directions", ippo_and_mappo, "difference",
             lambda game, pi, _, central: difference(game, pi, 0.0, central),
             ("the difference falls", "with lambda = 0.95 it is small")),
    Mutation("ascents", _local_critics, "direction",
             lambda game, pi, lambda_, central: (1.0 if central else -1.0) * _steps(game, pi, lambda_, central),
             ("IPPO and MAPPO perform similarly",)),
    Mutation("ascents", _local_critics, "direction", lambda game, pi, lambda_, _: _steps(game, pi, lambda_, True),
             ("where a slow state is seen",)),
    Mutation("ascents", _local_critics, "direction",
             lambda game, pi, lambda_, central: _steps(game, pi, 0.0, central), ("there lambda = 0.95 is enough",)),
]


@pytest.fixture(autouse=True)
def smaller(monkeypatch):
    """Trainings are made once, unless they are what is wrong; ascents are short."""
    monkeypatch.setattr(_clip_runs, "against", pair)
    monkeypatch.setattr(ippo_and_mappo, "TAKEN", 40)
    monkeypatch.setattr(_clip_runs, "UPDATES", (2, 20))


@pytest.mark.parametrize("group", GROUPS)
def test_every_claim_passes_and_has_a_mistake_that_makes_it_fail(group):
    claims = GROUPS[group]()
    begins = tuple(begin for mutation in MUTATIONS if mutation.group == group for begin in mutation.fails)
    assert not [claim.says for claim in claims if not claim.passes]
    assert not [claim.says for claim in claims if not claim.says.startswith(begins)]


@pytest.mark.parametrize("mutation", [pytest.param(mutation, id=f"{mutation.group}: {mutation.fails[0]}")
                                      for mutation in MUTATIONS])
def test_a_mistake_makes_claims_fail(monkeypatch, mutation):
    monkeypatch.setattr(mutation.where, mutation.name, mutation.wrong)
    failed = [claim.says for claim in GROUPS[mutation.group]() if not claim.passes]
    assert not [begin for begin in mutation.fails if not any(says.startswith(begin) for says in failed)]
