"""Small games of the trust-region experiment: random Dec-MDPs, and the counter-examples.

A Dec-MDP (paper 002, section 3) is a finite MDP with one reward for all, the mean of `FiniteMDP.r` over agents, in
which agent k acts on its local state s^k alone.  Local policies are (N, L, A), L local states; `DecMDP.lift` makes them
the (N, S, A) that `netac.exact` takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netac.exact import FiniteMDP, refuse_large
from netac.exact.mdp import actions_per_agent


@dataclass(frozen=True)
class DecMDP:
    """A finite game and what its agents see.

    Attributes:
        mdp: S states, N agents, A actions.
        local: (N, S) s^k of every state, whole numbers from 0.
    """

    mdp: FiniteMDP
    local: np.ndarray

    @property
    def seen(self) -> int:
        """L, the number of local states."""
        return int(self.local.max()) + 1

    def lift(self, policies: np.ndarray) -> np.ndarray:
        """(N, L, A) -> (N, S, A)."""
        return np.take_along_axis(policies, self.local[:, :, None], axis=1)


def observed(mdp: FiniteMDP) -> DecMDP:
    """The game in which every agent sees the whole state.

    Raises:
        InputError: the game is too large to be solved exactly.
    """
    refuse_large(mdp.states, mdp.agents, mdp.actions)
    return DecMDP(mdp, np.tile(np.arange(mdp.states), (mdp.agents, 1)))


def factored(transition: np.ndarray, reward: np.ndarray, start: np.ndarray, gamma: float, agents: int,
             local_states: int) -> DecMDP:
    """A game of L^N states s = (s^1, ..., s^N) in C order, with a reward (S, J) for all."""
    local = np.array(np.unravel_index(np.arange(local_states**agents), (local_states,) * agents))
    return DecMDP(FiniteMDP(transition, _for_all(reward, agents), start, gamma), local)


def random_dec_mdp(agents: int, local_states: int, actions: int, gamma: float, rng: np.random.Generator) -> DecMDP:
    """Transition probabilities and xi uniform on the simplex, rewards normal; local states are coupled."""
    states, joint = local_states**agents, actions**agents
    return factored(rng.dirichlet(np.ones(states), (states, joint)), rng.standard_normal((states, joint)),
                    rng.dirichlet(np.ones(states)), gamma, agents, local_states)


def random_policies(game: DecMDP, rng: np.random.Generator) -> np.ndarray:
    """(N, L, A), each uniform on the simplex."""
    return rng.dirichlet(np.ones(game.mdp.actions), (game.mdp.agents, game.seen))


def slow_belief(gamma: float = 0.95, step: float = 0.05) -> tuple[DecMDP, np.ndarray, np.ndarray]:
    """A game of two agents in which a small policy change shifts agent 1's transition far more than any policy.

    Agent 2's local state goes from 0 to 1 for good once it plays 1; agent 1's next local state is agent 2's, except
    with probability 0.1.  Old policies: agent 2 never plays 1; new: it plays 1 with probability `step`.  In the long
    run s^2 = 1 is likely even for a small step.
    """
    P = np.zeros((2, 2, 2, 2, 2, 2))                    # s^1, s^2, a^1, a^2, next s^1, next s^2
    for _, second, _, action in np.ndindex(2, 2, 2, 2):
        P[:, second, :, action, :, second | action] = np.where(np.arange(2) == second, 0.9, 0.1)
    game = factored(P.reshape(4, 4, 4), np.zeros((4, 4)), np.eye(4)[0], gamma, 2, 2)
    old = np.tile([1.0, 0.0], (2, 2, 1))
    new = old.copy()
    new[1] = [1.0 - step, step]
    return game, old, new


def agreement(gamma: float, step: float) -> tuple[DecMDP, np.ndarray, np.ndarray]:
    """Two agents with actions 0, 1 see the state: 1 if they last did the same, else 0, which is also the reward.

    Old policies: uniform; new: one plays 1 more often by `step`, the other less.  At the uniform policies every agent's
    own advantages are 0, yet the return falls by 2 step^2 of the largest there is.
    """
    agree = np.array([1.0, 0.0, 0.0, 1.0])
    P = np.tile(np.stack([1.0 - agree, agree], axis=-1), (2, 1, 1))
    mdp = FiniteMDP(P, _for_all(np.tile([[0.0], [1.0]], 4), 2), np.array([0.5, 0.5]), gamma)
    old = np.full((2, 2, 2), 0.5)
    return observed(mdp), old, old + step * np.array([[[-1.0, 1.0]], [[1.0, -1.0]]])


def majority(agents: int, gamma: float, step: float) -> tuple[DecMDP, np.ndarray, np.ndarray]:
    """An odd number of agents with actions 0, 1 see the state.

    From the first state a majority of ones leads to the left, else to the right, for good; from then on the reward is
    the number of ones less that of zeros in the step before, on the right, and minus that on the left.  Old policies:
    uniform; new: all play 1 more often by `step`.

    A single agent can change the reward by 1 / N of what all agents can.
    """
    ones = np.array([sum(joint) for joint in np.ndindex(*[2] * agents)])
    reward = np.concatenate([[0.0], *(side * np.array([0.0, *(2.0 * np.arange(agents + 1) - agents)])
                                      for side in (-1, 1))])
    side = agents + 2                                   # states of a side: just arrived, then by the ones before
    P = np.zeros((1 + 2 * side, 2**agents, 1 + 2 * side))
    joint = np.arange(2**agents)
    P[0, joint, np.where(2 * ones > agents, 1, 1 + side)] = 1.0
    P[1:1 + side, joint, 2 + ones] = 1.0
    P[1 + side:, joint, 2 + side + ones] = 1.0
    mdp = FiniteMDP(P, _for_all(np.tile(reward[:, None], 2**agents), agents), np.eye(1 + 2 * side)[0], gamma)
    old = np.full((agents, 1 + 2 * side, 2), 0.5)
    return observed(mdp), old, old + step * np.array([-1.0, 1.0])


def rare(gamma: float, share: float = 1e-3) -> tuple[DecMDP, np.ndarray, np.ndarray]:
    """One agent with a neutral action and two rare ones, in a game that makes Theorem 1 as tight as can be.

    The neutral action stays in the first state, the rare ones lead to the left or to the right, for good; on the right
    they bring 1 and -1, on the left -1 and 1.  The update moves a mass of `share` x (1 - gamma) from the first rare
    action to the second, so that few steps of a discounted life are affected by it.
    """
    P = np.zeros((3, 3, 3))
    P[[0, 0, 0], [0, 1, 2], [0, 1, 2]] = P[1, :, 1] = P[2, :, 2] = 1.0
    reward = np.array([[0.0, 0.0, 0.0], [0.0, -1.0, 1.0], [0.0, 1.0, -1.0]])
    alpha = share * (1.0 - gamma)
    least = share * alpha                               # what is left of an action that is not played
    old, new = (np.tile([1.0 - alpha - 2.0 * least, *odds], (1, 3, 1))
                for odds in ((alpha + least, least), (least, alpha + least)))
    return observed(FiniteMDP(P, _for_all(reward, 1), np.eye(3)[0], gamma)), old, new


def aliased() -> tuple[DecMDP, np.ndarray]:
    """A random Dec-MDP of two agents with 3 local states, gamma = 0.6, and local policies (N, L, A)."""
    rng = np.random.default_rng(0)
    game = random_dec_mdp(2, 3, 2, 0.6, rng)
    return game, random_policies(game, rng)


def through_noise() -> tuple[DecMDP, np.ndarray]:
    """Two agents may pay to keep something slow in its good state, which agent 2 sees, and agent 1 through noise.

    s^2 is 1 (good) or 0; it stays with probability 0.9, and is likelier to be 1 by 0.04 for every agent that plays 1.
    s^1 is s^2 with probability 0.7.  The reward is s^2 less 0.05 for every agent that plays 1; gamma = 0.9.  Policies
    (N, L, A): uniform.
    """
    _, good, *both = np.indices((2, 2, 2, 2))           # s^1, s^2, a^1, a^2
    paying = sum(both)
    up = 0.1 + 0.8 * good + 0.04 * paying
    seen = np.where(np.eye(2, dtype=bool), 0.7, 0.3)    # s^1 of s^2
    P = np.stack([1.0 - up, up], axis=-1)[..., None, :] * seen
    game = factored(P.reshape(4, 4, 4), (good - 0.05 * paying).reshape(4, 4), np.full(4, 0.25), 0.9, 2, 2)
    return game, np.full((2, 2, 2), 0.5)


def team_game(agents: int, states: int, gamma: float, rng: np.random.Generator) -> DecMDP:
    """A random game of agents with actions 0, 1 and one reward for all, between 0 and 1.

    In every state the reward has a random linear term in every agent's action and a random product term for every pair,
    scaled to [0, 1] over all states and joint actions.  The next state is drawn from a random distribution that depends
    on s if all play 0, from another if all play 1, else from their mixture by the share of ones.
    """
    actions = 2.0 * np.array(np.unravel_index(np.arange(2**agents), (2,) * agents)) - 1.0         # (N, J), -1 or 1
    couplings = np.triu(rng.standard_normal((states, agents, agents)), 1) / np.sqrt(agents)
    value = rng.standard_normal((states, agents)) @ actions * 0.5 + np.stack([
        (actions * (coupling @ actions)).sum(axis=0) for coupling in couplings])
    reward = (value - value.min()) / (value.max() - value.min())
    share = (actions.mean(axis=0) + 1.0)[:, None] / 2.0
    none, all_ones = rng.dirichlet(np.ones(states), (2, states))
    P = np.stack([(1.0 - share) * without + share * with_ones
                  for without, with_ones in zip(none, all_ones, strict=True)])
    return observed(FiniteMDP(P, _for_all(reward, agents), np.full(states, 1.0 / states), gamma))


def _for_all(reward: np.ndarray, agents: int) -> np.ndarray:
    """(S, J) -> (S, J, N): the same for every agent."""
    actions_per_agent(reward.shape[1], agents)
    return np.repeat(reward[:, :, None], agents, axis=2)
