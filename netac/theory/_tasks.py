"""Games of agents that each have a task of their own, from alike to unlike, and policies that share a part.

`unlike` h in [0, 1] is the knob; rewards are those of a common task and of tasks of the agents' own:

    tasks          S states, two actions; r_i(s, a_i) = +x_i(s) for action 1, -x_i(s) for action 0, with
                   x_i(s) = sqrt(1 - h) c(s) + sqrt(h) o_i(s), c(s) = +-1, and o_i(s) of mean 0 and mean square 1 over
                   the agents, so that two agents' tasks have correlation 1 - h - h / (N - 1), and rewards one scale;
                   the next state is drawn from P(.|s, a_j) of an agent j drawn at random
    coordination   the coordination game of paper 003, section 5, in which agents have favourites:
                   r_i = (1 - h) (a_i - 3.5)^2 + 12.25 h 1[a_i = favourite_i] + #{j != i: a_j = a_i}

Agents act in the same state, but what one does pays none of the others (tasks), or pays them 1 (coordination).  Both
J of the best policies and that of the best ones that all agents share are exact: for the former any joint action may be
taken, for the latter those in which all do the same.  (One action for all is as good as any policy that all share,
since J is linear, or convex in coordination, in the probabilities of a state.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from netac.exact import FiniteMDP, optimal_objective
from netac.theory._walk import save_game

GAMMA = 0.8
FAVOURITES = (1, 2, 5, 6)
FORMS = ("shared", "partly", "personal")


def tasks(unlike: float, agents: int = 8, states: int = 4, seed: int = 0) -> FiniteMDP:
    """The first game; the same tasks, differently mixed, for all `unlike` of a seed."""
    rng = np.random.default_rng([seed, agents, states])
    common, own = rng.permutation(np.resize((1.0, -1.0), states)), rng.normal(size=(agents, states))
    own -= own.mean(axis=0)
    own /= np.sqrt(np.square(own).mean(axis=0)) if agents > 1 else 1.0
    x = np.sqrt(1.0 - unlike) * common + np.sqrt(unlike) * own                              # (N, S)
    to = rng.dirichlet(np.ones(states), (states, 2))                                        # (S, A, S')
    bits = signs(agents)
    P = 0.5 * (to[:, 0] + to[:, 1])[:, None] + 0.5 * bits.mean(axis=1)[:, None] * (to[:, 1] - to[:, 0])[:, None]
    return FiniteMDP(P, x.T[:, None] * bits, np.full(states, 1.0 / states), GAMMA)


def coordination(unlike: float) -> FiniteMDP:
    """The second game, of four agents."""
    N, A = len(FAVOURITES), 8
    a = np.stack(np.unravel_index(np.arange(A**N), (A,) * N), axis=1)                       # (J, N)
    same = (a[:, :, None] == a[:, None]).sum(axis=2) - 1
    r = (1.0 - unlike) * (a - 3.5)**2 + 12.25 * unlike * (a == FAVOURITES) + same
    return FiniteMDP(np.ones((1, A**N, 1)), r[None], np.ones(1), 0.0)


def signs(agents: int) -> np.ndarray:
    """(2^N, N) the agents' actions in every joint action, as -1 and 1."""
    return 2.0 * (np.arange(2**agents)[:, None] >> np.arange(agents)[::-1] & 1) - 1.0


def features(mdp: FiniteMDP) -> np.ndarray:
    """(S, J, L) features of a reward model in which the agents' contributions add up."""
    S, A, N, J = mdp.states, mdp.actions, mdp.agents, mdp.joint_actions
    taken = np.stack(np.unravel_index(np.arange(J), (A,) * N), axis=1)
    each = signs(N) if A == 2 else np.eye(A)[taken].reshape(J, N * A)
    return np.einsum("st,jk->sjtk", np.eye(S), each).reshape(S, J, -1) / np.sqrt(N)


def tables(mdp: FiniteMDP, form: str, folder: Path) -> dict[str, Any]:
    """The experiment file's tables: the game, those features, and a form of `FORMS`; writes files into `folder`."""
    S, A = mdp.states, mdp.actions
    np.savez(folder / "features.npz", phi=np.eye(S), psi=features(mdp))
    x = np.eye(S * A).reshape(S, A, -1)
    np.savez(folder / f"{form}.npz", x=np.concatenate([x, x], axis=-1) if form == "partly" else x)
    shared = [] if form == "personal" else [f"f{k}" for k in range(S * A)]
    return {"agents": mdp.agents, "env": {"name": "finite-mdp", "path": save_game(mdp, folder / "game.npz"),
                                          "features": str(folder / "features.npz")},
            "policy": {"name": "log-linear", "features": str(folder / f"{form}.npz"), "shared": shared}}


def best(mdp: FiniteMDP, form: str) -> float:
    """J of the best policies of a form."""
    return optimal_objective(alike(mdp) if form == "shared" else mdp)


def alike(mdp: FiniteMDP) -> FiniteMDP:
    """The game as one agent's that decides for all, who do the same."""
    same = np.arange(mdp.actions) * sum(mdp.actions**i for i in range(mdp.agents))
    return FiniteMDP(mdp.P[:, same], mdp.team_reward[:, same, None], mdp.xi, mdp.gamma)
