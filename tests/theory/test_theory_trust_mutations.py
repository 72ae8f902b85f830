"""Every claim of trust-region and of paper 001's experiments can fail: one mistake in the code under study makes it.

A row of `MUTATIONS` names a group of claims, what is done wrong in its place, and how the claims begin that then fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from netac.algorithms.policy_gradient.surrogates import clipped
from netac.envs.finite_mdp import random_mdp
from netac.exact import subset_advantage
from netac.theory import (
    Claim,
    Lab,
    _algorithm_1,
    _trust_bounds,
    _trust_critics,
    _trust_exact,
    _trust_trained,
    _trust_updates,
    advantage_decomposition,
    differential_game,
    parameter_sharing,
    policy_iteration,
    trust_region,
)
from netac.theory._penalised import BallOptimum, penalised
from netac.theory._trust_games import DecMDP, majority

QUICK = Lab(quick=True)
ALPHA = _trust_trained.ALPHA


@cache
def updates() -> list[_trust_exact.Pair]:
    return _trust_exact.pairs(QUICK)[::4]


def _growth() -> list[Claim]:
    sizes = trust_region.SIZES
    return _trust_exact.growth_claims(_trust_exact.growth_rows(sizes, ALPHA), _trust_exact.crossing_rows(sizes, ALPHA),
                                      ALPHA)


GROUPS: dict[str, Callable[[], Sequence[Claim]]] = {
    "shift": lambda: _trust_exact.shift_claims([_trust_exact.shift(update) for update in updates()], True),
    "improvement": lambda: _trust_exact.improvement_claims(
        [_trust_bounds.improvement(*update) for update in updates()], _trust_exact.examples((1, 3, 5))),
    "divergence": lambda: _trust_exact.divergence_claims(QUICK, updates()),
    "growth": _growth,
    "critics": lambda: _trust_critics.critic_claims(QUICK, _trust_critics.noise_rows()),
    "ratios": lambda: _trust_trained.ratio_claims(_trust_trained.ratio_rows(QUICK)),
    "trained growth": lambda: _trust_trained.growth_claims(_trust_trained.growth_rows(QUICK)),
    "versus": lambda: _trust_trained.versus_claims(_trust_trained.versus_rows(QUICK)),
    "policy-iteration": lambda: policy_iteration.experiment(replace(QUICK, game=random_mdp(
        0, 2, 2, 2, "folded-normal", 0.1))).claims,
    "discounts": lambda: [policy_iteration.discount_claim(policy_iteration.discount_rows(QUICK))],
    "advantage-decomposition": lambda: advantage_decomposition.experiment(QUICK).claims,
    "parameter-sharing": lambda: parameter_sharing.experiment(QUICK).claims,
    "sharing, trained": lambda: parameter_sharing.trained_claims(parameter_sharing.trained_rows(QUICK)),
    "differential-game": lambda: differential_game.experiment(QUICK).claims,
}
LONG = {"versus", "trained growth", "sharing, trained"}


class Mutation(NamedTuple):
    group: str
    module: ModuleType
    name: str
    wrong: Any
    fails: tuple[str, ...]
    """How the claims begin that have to fail; others may."""


def scaled(function: Callable, factor: float) -> Callable:
    return lambda *arguments: factor * function(*arguments)


def one_local_state(*arguments):
    game, old, new = majority(*arguments)
    return DecMDP(game.mdp, np.zeros_like(game.local)), old, new


def unclipped(log_ratio, A, **_):
    return clipped(log_ratio, A, epsilon=float("inf"))


def against_itself(training):
    return (_trust_updates.train(training),) * 2


def farther(g, p, rho, C, eta) -> BallOptimum:
    """A step as if the penalty weighed a tenth."""
    return penalised(g, p, rho, 0.1 * C, eta)


_td, _gae = _trust_critics.td_lambda, _trust_critics.gae
_tv, _joint_tv, _tv_by_gains = _trust_bounds.tv, _trust_bounds.joint_tv, _trust_bounds.tv_by_gains
_shift, _missed_bound, _chi = _trust_bounds.one_agent_shift, _trust_bounds.missed_bound, _trust_bounds.chi_square_bound
_coupled, _alike = _trust_exact.coupled, _trust_exact.alike_tv
_returns, _update, _moved = parameter_sharing.returns, differential_game.update, differential_game.trust_region
_advantage, _within = _algorithm_1.local_advantage, policy_iteration.within_balls
_rho = _algorithm_1.visitation_distribution
_alone, _in_turn, _errors = (advantage_decomposition.best_alone, advantage_decomposition.best_in_turn,
                             advantage_decomposition.subset_advantage)

MUTATIONS = [
    Mutation("shift", _trust_exact, "one_agent_shift", lambda game, j, old, new: _shift(game, j, new, old),
             ("the shift of a local state's transition is the sum",)),
    Mutation("shift", _trust_exact, "tv", scaled(_tv, 0.4), ("agent j's term",)),
    Mutation("shift", _trust_exact, "joint_tv", scaled(_joint_tv, 0.4), ("the shift at any local", "visited pairs")),
    Mutation("shift", _trust_exact, "visits", lambda game, pi: np.full(len(game.mdp.xi), 1.0 / len(game.mdp.xi)),
             ("it is bounded so with the others'",)),
    Mutation("shift", _trust_exact, "majority", one_local_state, ("the line as it is written",)),

    Mutation("improvement", _trust_bounds, "CONSTANT", 3.9,
             ("J(new) >= L - 4", "corrected Theorem 2", "in these games that share")),
    Mutation("improvement", _trust_bounds, "CONSTANT", 4.2,
             ("4 is the smallest constant in Theorem 1", "own surrogates miss", "with both penalties, 4 is")),
    Mutation("improvement", _trust_bounds, "CONSTANT", 8.0, ("Theorem 2 with the advantages of its proof",)),
    Mutation("improvement", _trust_bounds, "CONSTANT", 2.0, ("so read it holds",)),
    Mutation("improvement", _trust_bounds, "missed_bound", scaled(_missed_bound, 0.9), ("the further penalty by",)),
    Mutation("improvement", _trust_bounds, "subset_advantage",
             lambda mdp, pi, agents, Q: subset_advantage(mdp, pi, agents), ("the surrogates of Theorem 2's proof",)),
    Mutation("improvement", _trust_bounds, "objective", lambda mdp, pi: 0.0,
             ("Theorem 2 with the agents' own advantages",)),

    Mutation("divergence", _trust_exact, "joint_tv", scaled(_joint_tv, 2.0),
             ("the joint policies' divergence is at most", "ratios within 1 +- epsilon keep the joint")),
    Mutation("divergence", _trust_exact, "joint_tv", scaled(_joint_tv, 0.9),
             ("the joint policies' divergence comes near",)),
    Mutation("divergence", _trust_exact, "coupled", lambda old, new: 1.0 - np.prod(1.0 - 0.9 * _tv(old, new), axis=0),
             ("in fact it is at most 1 - prod",)),
    Mutation("divergence", _trust_exact, "coupled", lambda old, new: np.sum(_tv(old, new), axis=0),
             ("1 - prod_k (1 - TV_k) is reached",)),
    Mutation("divergence", _trust_exact, "tv_by_gains", scaled(_tv_by_gains, -1.0), ("TV is the sum of new - old",)),
    Mutation("divergence", _trust_exact, "tv", scaled(_tv, 2.0), ("ratios within 1 +- epsilon keep an agent's",)),
    Mutation("divergence", _trust_exact, "tv", scaled(_tv, 0.9), ("epsilon / 2 is reached",)),
    Mutation("divergence", _trust_exact, "chi_square_bound", scaled(_chi, 0.9), ("in fact they keep it within sqrt",)),
    Mutation("divergence", _trust_exact, "missed_bound", scaled(_missed_bound, 0.9), ("and what the agents' own",)),
    Mutation("divergence", _trust_exact, "softmax_gradient",
             lambda mdp, pi: np.sign([subset_advantage(mdp, pi, [k]) for k in range(mdp.agents)]),
             ("optimising makes an action likelier",)),

    Mutation("growth", _trust_exact, "alike_tv", lambda agents, epsilon: agents * epsilon / 2.0,
             ("at a fixed clip range", "with alpha / N it falls", "with alpha / sqrt(N) it does not change")),
    Mutation("growth", _trust_exact, "alike_tv", lambda agents, epsilon: _alike(agents, min(1.0, agents * epsilon)),
             ("a clip range of alpha / N keeps",)),
    Mutation("growth", _trust_exact, "chi_square_bound", scaled(_chi, 2.0), ("a clip range of alpha / sqrt(N) keeps",)),
    Mutation("growth", _trust_exact, "pair_penalty", lambda alphas: 2.0 * float((alphas**2).sum()),
             ("but the corrected Theorem 2's",)),
    Mutation("growth", _trust_exact, "missed_bound", lambda chi: np.sqrt(np.prod(1.0 + chi, axis=0) - 1.0),
             ("by ratios, which are within",)),
    Mutation("growth", _trust_exact, "missed_bound", scaled(_missed_bound, 0.9), ("which is above what agents",)),

    Mutation("critics", _trust_critics, "td_lambda", lambda chain, labels, gamma, _: _td(chain, labels, gamma, 1.0),
             ("the critic of an agent's local state",)),
    Mutation("critics", _trust_critics, "td_lambda", lambda chain, labels, gamma, _: _td(chain, labels, gamma, 0.0),
             ("the error falls", "Monte Carlo values")),
    Mutation("critics", _trust_critics, "td_lambda",
             lambda chain, labels, gamma, lambda_: _td(chain, labels, 0.9 * gamma, lambda_),
             ("it has where every agent sees the state",)),
    Mutation("critics", _trust_critics, "gae", lambda mdp, chain, v, _: _gae(mdp, chain, v, 1.0),
             ("so the objectives of IPPO and MAPPO",)),
    Mutation("critics", _trust_critics, "gae", lambda mdp, chain, v, _: _gae(mdp, chain, v, 0.0),
             ("with lambda = 0.95 most", "Monte Carlo values")),

    Mutation("ratios", _trust_updates, "ratios", lambda log_ratio: np.clip(np.exp(log_ratio), 0.9, 1.1),
             ("clipping does not keep ratios", "clipped at 0.3 ratios", "the range of ratios grows with",
              "the range of ratios grows the slower")),
    Mutation("trained growth", _trust_updates, "tv", lambda old, new: _tv(old, new) / len(old), ("the sum of the",)),
    Mutation("trained growth", _trust_updates, "joint_tv", lambda old, new: _tv(old, new).sum(axis=0),
             ("the joint TV that it estimates",)),
    Mutation("trained growth", _trust_updates, "clipped", unclipped, ("once clipping acts",)),
    Mutation("trained growth", _trust_trained, "RANGES", _trust_trained.RANGES | {"alpha / N": lambda n: ALPHA},
             ("a clip range of alpha / N keeps",)),
    Mutation("versus", _trust_trained, "against", against_itself,
             ("at 0.1 clipping the joint", "at 0.5 clipping the joint", "independent clipping suffers",
              "at 0.5 independent clipping", "clipping the joint ratio at 0.1", "clipping every agent's ratio at 0.1")),

    Mutation("policy-iteration", _algorithm_1, "local_advantage", scaled(_advantage, -1.0),
             ("the return never falls", "the limit, of")),
    Mutation("policy-iteration", _algorithm_1, "visitation_distribution", scaled(_rho, 2.0),
             ("the return is at least",)),
    Mutation("policy-iteration", _algorithm_1, "penalised", farther, ("line 7 is maximised",)),
    Mutation("discounts", _algorithm_1, "penalised", lambda g, p, rho, C, eta: penalised(g, p, rho, 1.0, eta),
             ("the larger gamma is",)),
    Mutation("policy-iteration", policy_iteration, "within_balls",
             lambda mdp, pi, order, radius, eta, in_turn: _within(mdp, pi, order, radius, eta, not in_turn),
             ("trust-region updates that each agent", "the same updates in turn")),

    Mutation("advantage-decomposition", advantage_decomposition, "subset_advantage",
             lambda mdp, pi, agents, given, Q: _errors(mdp, pi, agents, given, Q) + 1e-3, ("A^{i_{1:m}} = sum_l",)),
    Mutation("advantage-decomposition", advantage_decomposition, "best_in_turn",
             lambda mdp, pi, order, Q: _alone(mdp, pi, Q), ("agents that take their best", "taken in turn, they")),
    Mutation("advantage-decomposition", advantage_decomposition, "best_alone",
             lambda mdp, pi, Q: _in_turn(mdp, pi, (0, *range(1, mdp.agents)), Q), ("advantage-based IGM can fail",
                                                                                  "the advantage is the sum")),

    Mutation("parameter-sharing", parameter_sharing, "returns", lambda payoff, p: 0.5 * _returns(payoff, p),
             ("J*_share / J* = 2 / 2^n", "agents with parameters of their own")),
    Mutation("sharing, trained", parameter_sharing, "TRAINERS",
             {"mappo": {"parameters": "separate"}, "happo": {}},
             ("MAPPO with shared parameters gets no more",)),
    Mutation("sharing, trained", parameter_sharing, "softmax", lambda logits, axis: np.full(logits.shape, [0.9, 0.1]),
             ("and not much less", "HAPPO learns")),

    Mutation("differential-game", differential_game, "trust_region", lambda mean, other: _moved(mean, -other),
             ("either agent's update raises", "in turn they raise it", "in turn no update ever")),
    Mutation("differential-game", differential_game, "update", lambda means, order: _update(means, order or (0, 1)),
             ("made at once, the same", "at once it falls where")),
    Mutation("differential-game", differential_game, "divergence", lambda means, new: (new - means)**2,
             ("the updates go as far",)),
]


@pytest.fixture(autouse=True)
def smaller(monkeypatch):
    """Few updates for policy iteration, small games for the decomposition, fewer trainings."""
    monkeypatch.setattr(policy_iteration, "REACHED", (40, 0))
    monkeypatch.setattr(policy_iteration, "DISCOUNTS", ((0.1, 0.5), ()))
    monkeypatch.setattr(policy_iteration, "BALLS", 2)
    monkeypatch.setattr(advantage_decomposition, "QUICK", advantage_decomposition.QUICK[:4])
    monkeypatch.setattr(parameter_sharing, "TRAINED", (2, 4))
    monkeypatch.setattr(parameter_sharing, "SEEDS", 1)


def marked(group: str) -> Any:
    return pytest.param(group, marks=[pytest.mark.long] if group in LONG else [])


@pytest.mark.parametrize("group", [marked(group) for group in GROUPS])
def test_every_claim_passes_and_has_a_mistake_that_makes_it_fail(group):
    claims = GROUPS[group]()
    begins = [begin for mutation in MUTATIONS if mutation.group == group for begin in mutation.fails]
    assert not [claim.says for claim in claims if not claim.passes]
    assert not [claim.says for claim in claims if not claim.says.startswith(tuple(begins))]


@pytest.mark.parametrize("mutation", [
    pytest.param(mutation, marks=[pytest.mark.long] if mutation.group in LONG else [],
                 id=f"{mutation.group}: {mutation.name}: {mutation.fails[0]}") for mutation in MUTATIONS])
def test_a_mistake_makes_claims_fail(monkeypatch, mutation):
    monkeypatch.setattr(mutation.module, mutation.name, mutation.wrong)
    with np.errstate(all="ignore"):
        failed = [claim.says for claim in GROUPS[mutation.group]() if not claim.passes]
    assert not [begin for begin in mutation.fails if not any(says.startswith(begin) for says in failed)]
