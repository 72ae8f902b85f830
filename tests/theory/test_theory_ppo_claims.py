"""Sequential PPO's claims besides the exact ones: each of them fails by a mistake in what it is about."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from netac.exact import objective_and_gradient
from netac.theory import Lab, _ppo_games, _ppo_starts, _sequential, sequential_ppo
from netac.theory._ppo_games import linear_game, matrix_game, ratio_game
from netac.theory._ppo_starts import METHODS, Leaving, Task, climb, in_turn, leave
from netac.theory._sequential import averaged, inverse_step, step

QUICK = Lab(quick=True)
PLAYED = {"ratio game": ratio_game(), "climbing": matrix_game("climbing"), "penalty": matrix_game("penalty")}


def exact() -> list:
    return sequential_ppo.exact_rows(QUICK, {sequential_ppo.LOCK: _ppo_games.lock(3, 2, 3, 0.9)})


def constant() -> list:
    return sequential_ppo.constant_rows(QUICK, exact())


def sampled() -> list:
    game = linear_game(np.random.default_rng(0), 2, 4, 4, 6)
    rows = []
    for kind in (("exact", 0, False), ("log-linear, LSTD", 100, True)):
        result = sequential_ppo._sampled((game, kind, 600, 0))
        rows.append({"error": result.error, "bound": result.bound})
    return rows


def starts() -> list:
    """Eight starts of each game with the steps that are best for these methods."""
    best = {"independent": 10.0, "in turn": 100.0, "sequential": 100.0}
    rows = []
    for name, mdp in PLAYED.items():
        drawn = 2.0 * np.random.default_rng(4).standard_normal((8, 2, mdp.states, mdp.actions))
        tasks = {method: Task(method, mdp, drawn, size, 150) for method, size in best.items()}
        if name == "ratio game":
            tasks["independent, longer"] = Task("independent", mdp, drawn[:4], 100.0, 1500)
        rows += [sequential_ppo._start_row(name, method, task.size, task, _ppo_starts.ends(task))
                 for method, task in tasks.items()]
    return rows


def left() -> list:
    rows = []
    for chance in (1e-1, 1e-3, 1e-4):
        alone, turns = leave(Leaving(ratio_game(), (1, 1), chance, 100.0, 0.66, 6000))
        rows.append({"chance_of_another": chance, "independent": alone, "sequential": turns})
    return rows


PARTS = {"exact": exact, "constant": constant, "horizons": lambda: sequential_ppo.horizon_rows(QUICK),
         "sampled": sampled, "starts": starts, "left": left}


@cache
def honest(part: str) -> list:
    return PARTS[part]()


def failing(**wrong) -> set[str]:
    """Claims that fail with the rows of some parts in the place of those that are right."""
    rows = {part: wrong.get(part) or honest(part) for part in PARTS}
    return {claim.says for claim in sequential_ppo.further_claims(**rows) if not claim.passes}


def test_claims_hold():
    assert failing() == set()


backwards = lambda logits, Q, inverse: step(logits, Q, -inverse)                                             # noqa: E731
evenly = lambda Q, policies: averaged(Q, [np.full_like(own, 1.0 / own.shape[-1]) for own in policies])       # noqa: E731
MUTATIONS = {
    "the same step for all K": ("exact", (_sequential, "inverse_step", lambda gamma, A, K: inverse_step(gamma, A, 1)),
                                "rate K^{-1/2}"),
    "the published step": ("constant", (sequential_ppo, "inverse_step",
                                        lambda gamma, A, K: inverse_step(gamma, A, 300)), "falls like 1 / K"),
    "a twentieth of the step": ("constant", (sequential_ppo, "inverse_step",
                                         lambda gamma, A, K: inverse_step(gamma, A, K) / 20.0), "is smaller"),
    "no horizon in beta": ("horizons", (_sequential, "inverse_step", lambda gamma, A, K: inverse_step(0.0, A, K)),
                           "grows with the horizon"),
    "steps backwards": ("sampled", (_sequential, "step", backwards), "measured statistical error"),
    "later agents play evenly": ("starts", (_sequential, "averaged", evenly), "from every start"),
    "agents that see all": ("starts", (_ppo_starts, "METHODS", METHODS | {"independent": METHODS["sequential"]}),
                            "worse equilibria"),
    "agents in turn that see": ("starts", (_ppo_starts, "METHODS", METHODS | {"in turn": METHODS["sequential"]}),
                                "must see"),
    "agents that do not see": ("starts", (_ppo_starts, "METHODS", METHODS | {"sequential": in_turn}),
                               "from every start"),
    "descent": ("starts", (_ppo_starts, "climb", lambda mdp, logits, size: climb(mdp, logits, -size)), "given time"),
    "descent from the point": ("left", (_ppo_starts, "climb", lambda mdp, logits, size: climb(mdp, logits, -size)),
                               "slowly"),
    "steps of one length": ("left", (_ppo_starts, "objective_and_gradient",
                                     lambda mdp, pi: (0.0, 1e-3 * np.sign(objective_and_gradient(mdp, pi)[1]))),
                            "slowly"),
    "sequential steps backwards": ("left", (_sequential, "step", backwards), "hardly more"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_makes_a_claim_fail(monkeypatch, name):
    part, change, claim = MUTATIONS[name]
    for other in PARTS:
        honest(other)
    monkeypatch.setattr(*change)
    assert any(claim in says for says in failing(**{part: PARTS[part]()}))


def test_a_wrong_sign_in_the_ratio_game_makes_equilibria(monkeypatch):
    monkeypatch.setattr(_ppo_games, "RATIO_R", np.array([[1.0, -0.5], [-0.5, 0.0]]))
    assert any("no equilibria" in says for says in failing())
