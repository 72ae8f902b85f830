"""Sequential PPO's claims besides the exact ones: each of them fails by a mistake in what it is about."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from netac.exact import objective, objective_and_gradient, optimal_objective
from netac.theory import Lab, _ppo_games, _ppo_starts, _sequential, sequential_ppo
from netac.theory._ppo_games import matrix_game, ratio_game
from netac.theory._ppo_starts import METHODS, Leaving, Task, climb, in_turn, leave
from netac.theory._sequential import averaged, inverse_step, step

QUICK = Lab(quick=True)
PLAYED = {"ratio game": ratio_game(), "climbing": matrix_game("climbing"), "penalty": matrix_game("penalty")}


def exact() -> list:
    return sequential_ppo.exact_rows(QUICK, {sequential_ppo.LOCK: _ppo_games.lock(3, 2, 3, 0.9)})


def constant() -> list:
    return sequential_ppo.constant_rows(QUICK, exact())


def sampled() -> list:
    game = matrix_game("climbing"), np.eye(9)[None]
    rows = []
    for kind in (("exact", 0, False), ("log-linear, LSTD", 100, True)):
        result = sequential_ppo._sampled((game, kind, 300, 0))
        rows.append({"error": result.error, "bound": result.bound})
    return rows


def starts(*methods: str) -> list:
    """Five starts of each game with the steps that are best for these methods, all of them if none is named."""
    best = {"independent": 10.0, "in turn": 100.0, "sequential": 100.0, "independent, longer": 100.0}
    rows = []
    for name, mdp in PLAYED.items():
        drawn = 2.0 * np.random.default_rng(4).standard_normal((5, 2, mdp.states, mdp.actions))
        for method in methods or best:
            longer = method == "independent, longer"
            if not longer or name == "ratio game":
                task = Task(method.partition(",")[0], mdp, drawn[:3] / 4.0 if longer else drawn, best[method],
                            800 if longer else 100)
                rows.append(sequential_ppo._start_row(name, method, task.size, task, _ppo_starts.ends(task)))
    return rows


def left() -> list:
    mdp = ratio_game()
    best, even = optimal_objective(mdp), objective(mdp, np.full((2, mdp.states, 2), 0.5))
    rows = []
    for chance in (1e-3, 1e-4):
        alone, turns = leave(Leaving(mdp, (1, 1), chance, 100.0, best - 0.01 * (best - even), 4000))
        rows.append({"chance_of_another": chance, "independent": alone, "sequential": turns})
    return rows


PARTS = {"exact": exact, "constant": constant, "horizons": lambda: sequential_ppo.horizon_rows(QUICK),
         "sampled": sampled, "starts": starts, "left": left}


@cache
def honest(part: str) -> list:
    return PARTS[part]()


def failing(**wrong) -> set[str]:
    """Claims that fail with other rows of some parts: in the place of all, of `starts` of those of the same methods."""
    rows = {part: wrong.get(part) or honest(part) for part in PARTS}
    if "starts" in wrong:
        ours = {row["method"] for row in wrong["starts"]}
        rows["starts"] = [*wrong["starts"], *(row for row in honest("starts") if row["method"] not in ours)]
    return {claim.says for claim in sequential_ppo.further_claims(**rows) if not claim.passes}


def test_claims_hold():
    assert failing() == set()


backwards = lambda logits, Q, inverse: step(logits, Q, -inverse)                                             # noqa: E731
evenly = lambda Q, policies: averaged(Q, [np.full_like(own, 1.0 / own.shape[-1]) for own in policies])       # noqa: E731
sequential, descent = METHODS["sequential"], lambda mdp, logits, size: climb(mdp, logits, -size)
MUTATIONS = {
    "the same step for all K": ("exact", (), (_sequential, "inverse_step",
                                              lambda gamma, A, K: inverse_step(gamma, A, 1)), "rate K^{-1/2}"),
    "the published step": ("constant", (), (sequential_ppo, "inverse_step",
                                            lambda gamma, A, K: inverse_step(gamma, A, 300)), "falls like 1 / K"),
    "a twentieth of the step": ("constant", (), (sequential_ppo, "inverse_step",
                                                 lambda gamma, A, K: inverse_step(gamma, A, K) / 20.0), "is smaller"),
    "no horizon in beta": ("horizons", (), (_sequential, "inverse_step",
                                            lambda gamma, A, K: inverse_step(0.0, A, K)), "grows with the horizon"),
    "steps backwards": ("sampled", (), (_sequential, "step", backwards), "measured statistical error"),
    "later agents play evenly": ("starts", ("sequential",), (_sequential, "averaged", evenly), "from every start"),
    "agents that do not see": ("starts", ("sequential",), (_ppo_starts, "METHODS", METHODS | {"sequential": in_turn}),
                               "from every start"),
    "agents that see all": ("starts", ("independent",), (_ppo_starts, "METHODS", METHODS | {"independent": sequential}),
                            "worse equilibria"),
    "agents in turn that see": ("starts", ("in turn",), (_ppo_starts, "METHODS", METHODS | {"in turn": sequential}),
                                "must see"),
    "descent": ("starts", ("independent, longer",), (_ppo_starts, "climb", descent), "given time"),
    "descent from the point": ("left", (), (_ppo_starts, "climb", descent), "slowly"),
    "steps of one length": ("left", (), (_ppo_starts, "objective_and_gradient",
                                         lambda mdp, pi: (0.0, 1e-3 * np.sign(objective_and_gradient(mdp, pi)[1]))),
                            "slowly"),
    "sequential steps backwards": ("left", (), (_sequential, "step", backwards), "hardly more"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mistake_makes_a_claim_fail(monkeypatch, name):
    part, given, change, claim = MUTATIONS[name]
    for each in PARTS:
        honest(each)
    monkeypatch.setattr(*change)
    assert any(claim in says for says in failing(**{part: PARTS[part](*given)}))


def test_a_wrong_sign_in_the_ratio_game_makes_equilibria(monkeypatch):
    monkeypatch.setattr(_ppo_games, "RATIO_R", np.array([[1.0, -0.5], [-0.5, 0.0]]))
    assert any("no equilibria" in says for says in failing())
