"""What the critic of an agent that sees its local state alone converges to (paper 002, section 6.3, Proposition 4).

The proposition has it at E[V(s) | s^k], the states being distributed as they are in the long run.  Of a critic of
whole histories that would be true, since the next history holds the present one, so that means of means are means.  The
next local state does not hold the present one: where several states look alike to an agent, TD(0) puts the mean over
all that look alike in the place of what is to come, and settles elsewhere.  Its lambda says how many steps later it
does so; with lambda = 1, which is Monte Carlo, it never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from netac.exact import (
    FiniteMDP,
    InducedChain,
    action_value,
    induced_chain,
    stationary_distribution,
    subset_action_value,
    value_function,
)
from netac.theory._claims import Claim, Row
from netac.theory._lab import Lab
from netac.theory._trust_bounds import local_mean
from netac.theory._trust_games import DecMDP, aliased, observed, random_dec_mdp, random_policies, through_noise

SOURCE = "paper 002, Proposition 4"
LAMBDAS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 1.0)
COMMON = 0.95                       # the lambda that PPO is mostly run with
EXACT = 1e-10                       # what rounding may do to values


class Critic(NamedTuple):
    """An agent's critic, and what Proposition 4 says of it."""

    v: np.ndarray
    """(L,) where TD(lambda) settles."""
    meant: np.ndarray
    """(L,) E[V(s) | s^k]."""
    advantages: np.ndarray
    """(L, A) those that it gives with the same lambda (GAE), on average over what the agent does not see."""
    central: np.ndarray
    """(L, A) E[A(s, a) | s^k, a^k], those of a central critic."""

    @property
    def error(self) -> float:
        """Largest |v - E[V(s) | s^k]|."""
        return float(np.abs(self.v - self.meant).max())


def td_lambda(chain: InducedChain, labels: np.ndarray, gamma: float, lambda_: float) -> np.ndarray:
    """(L,) fixed point of TD(lambda) on policy, with a value for every label of the states; least norm.

    sum over states of label l of mu(s) (M delta)(s) = 0 for every l, where delta are the one-step errors and
    M = (I - gamma lambda P)^(-1) adds up those of all later steps.

    Args:
        labels: (S,) whole numbers from 0.
    """
    features = np.eye(int(labels.max()) + 1)[labels]
    P, states = chain.transition, len(chain.transition)
    later = np.linalg.solve(np.eye(states) - gamma * lambda_ * P,
                            np.column_stack([features - gamma * P @ features, chain.reward]))
    weighted = stationary_distribution(P)[:, None] * features
    return np.linalg.lstsq(weighted.T @ later[:, :-1], weighted.T @ later[:, -1], rcond=None)[0]


def gae(mdp: FiniteMDP, chain: InducedChain, v: np.ndarray, lambda_: float) -> np.ndarray:
    """(S, J) E[sum_n (gamma lambda)^n delta_{t+n} | s_t, a_t], delta of values v (S,)."""
    discount = mdp.gamma * lambda_
    delta = chain.reward + mdp.gamma * chain.transition @ v - v
    later = np.linalg.solve(np.eye(len(v)) - discount * chain.transition, delta)
    return mdp.team_reward - v[:, None] + mdp.expect_next(mdp.gamma * v + discount * later)


def critic(game: DecMDP, pi: np.ndarray, agent: int, lambda_: float) -> Critic:
    """The critic of one agent under local policies pi (N, L, A), and what is meant by it."""
    mdp, lifted = game.mdp, game.lift(pi)
    chain = induced_chain(mdp, lifted)
    mu, V = stationary_distribution(chain.transition), value_function(mdp, lifted)
    v = td_lambda(chain, game.local[agent], mdp.gamma, lambda_)

    def own(values: np.ndarray) -> np.ndarray:
        return local_mean(game, agent, mu, subset_action_value(mdp, lifted, [agent], values))

    return Critic(v, local_mean(game, agent, mu, V), own(gae(mdp, chain, v[game.local[agent]], lambda_)),
                  own(action_value(mdp, lifted) - V[:, None]))


def remembering(game: DecMDP, pi: np.ndarray, agent: int, length: int) -> float:
    """Root mean square error of TD(0) for a critic of the agent's last `length` local states.

    It is held against E[V(s) | these local states], on the chain of the last `length` states.
    """
    lifted = game.lift(pi)
    chain = induced_chain(game.mdp, lifted)
    states, tuples = len(chain.reward), len(chain.reward)**length
    window = np.array(np.unravel_index(np.arange(tuples), (states,) * length))
    P = np.zeros((tuples, tuples))
    for state in range(states):
        after = np.ravel_multi_index((*window[1:], np.full(tuples, state)), (states,) * length)
        P[np.arange(tuples), after] = chain.transition[window[-1], state]
    labels = np.ravel_multi_index(tuple(game.local[agent][window]), (game.seen,) * length)
    v = td_lambda(chain._replace(transition=P, reward=chain.reward[window[-1]]), labels, game.mdp.gamma, 0.0)
    mu, V = stationary_distribution(P), value_function(game.mdp, lifted)[window[-1]]
    mass = np.bincount(labels, mu)
    meant = np.bincount(labels, mu * V) / np.where(mass > 0, mass, 1.0)
    return float(np.sqrt(mass @ np.square(v - meant)))


def alias_rows() -> list[Row]:
    """In a random Dec-MDP: values of agent 1's critic by local state."""
    found = {lambda_: critic(*aliased(), 0, lambda_) for lambda_ in (0.0, COMMON, 1.0)}
    meant = found[1.0].meant
    return [{"s^1": state, "E[V | s^1]": float(meant[state]), "TD(0)": float(found[0.0].v[state]),
             f"TD({COMMON})": float(found[COMMON].v[state]), "Monte Carlo": float(found[1.0].v[state])}
            for state in range(len(meant))]


def noise_rows() -> list[Row]:
    """In the game seen through noise, by lambda: how far agent 1's values are apart, and its advantage of paying."""
    rows = []
    for lambda_ in LAMBDAS:
        one = critic(*through_noise(), 0, lambda_)
        rows.append({"lambda": lambda_, "v(1) - v(0)": float(np.diff(one.v)[0]),
                     "E[V | 1] - E[V | 0]": float(np.diff(one.meant)[0]), "error": one.error,
                     "A of paying": float(one.advantages[1, 1]), "E[A | s^1, paying]": float(one.central[1, 1])})
    return rows


def memory_rows(lab: Lab) -> list[Row]:
    """In the game seen through noise: the error of TD(0) with a memory."""
    game, pi = through_noise()
    return [{"local states": length, "error": remembering(game, pi, 0, length)}
            for length in range(1, lab.choose(4, 5) + 1)]


def critic_claims(lab: Lab, noise: Sequence[Row]) -> list[Claim]:
    """Claims on random Dec-MDPs, and on the rows of `noise_rows`."""
    rng = lab.rng(3)
    games = [aliased(), through_noise()]
    for shape in ((2, 2, 2), (2, 3, 3), (3, 2, 2)):
        game = random_dec_mdp(*shape, 0.9, rng)
        games.append((game, random_policies(game, rng)))
    everyone = [(game, pi, k) for game, pi in games for k in range(game.mdp.agents)]
    seeing = [(observed(game.mdp), game.lift(pi), k) for game, pi, k in everyone]
    by = {row["lambda"]: row for row in noise}
    share = {lambda_: row["A of paying"] / row["E[A | s^1, paying]"] for lambda_, row in by.items()}
    errors = [by[lambda_]["error"] for lambda_ in LAMBDAS]
    return [
        Claim("the critic of an agent's local state has its fixed point, that of TD(0), at E[V(s) | s^k]", SOURCE,
              "largest |v - E[V(s) | s^k]| in a random Dec-MDP", critic(*aliased(), 0, 0.0).error, ">=", 0.005,
              refuted=True),
        Claim("it has where every agent sees the state, with any lambda", SOURCE, "largest error",
              max(critic(*one, lambda_).error for one in seeing for lambda_ in (0.0, COMMON)), "<=", 0.0, EXACT),
        Claim("Monte Carlo values are E[V(s) | s^k] everywhere, and so are advantages", "netac",
              "largest error of values and advantages", max(
                  max(found.error, float(np.abs(found.advantages - found.central).max()))
                  for found in (critic(*one, 1.0) for one in everyone)), "<=", 0.0, EXACT),
        Claim("the error falls as lambda grows", "netac", "largest error / that of the next smaller lambda, "
              "where a slow state is seen through noise",
              max(after / before for before, after in pairwise(errors[:-1])), "<=", 0.9),
        Claim("so the objectives of IPPO and MAPPO are equivalent", "paper 002, section 6.3",
              "advantage of an action by TD(0) / by a central critic, where a slow state is seen through noise",
              share[0.0], "<=", -0.1, refuted=True),
        Claim(f"with lambda = {COMMON} most of the advantage is there", "netac",
              "advantage by TD and GAE of this lambda / by a central critic", share[COMMON], ">=", 0.7)]
