"""Finite games whose episodes end, the step along sums over an episode with and without gamma^t, and such games played.

The last state is the end: absorbing, of reward 0.  Agents may not tell states apart: `seen` (S,) numbers what each of
them observes of a state, and they have logits (N, O, A), one for every observation and action.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from netac.envs._batched import Step
from netac.exact import FiniteMDP
from netac.utils.spaces import ActionSpace

BONUS, PRICE, PAYOFF, GAMMA = 0.75, 3.0, 4.0, 0.5
ENTER, PAY, PAID, UNPAID, END = range(5)
STEPS = 3                           # of an episode of `investment`


def investment(gamma: float = GAMMA) -> FiniteMDP:
    """Two agents with actions 0, 1 enter, pay or not, and are paid or not: three steps.

    Both play 1 as they enter: 0.75.  Both play 1 as they pay: -3, and 4 in the step after, whatever they do there.
    Else nothing.  At gamma = 0.5 to pay is worth -3 + 0.5 x 4 = -1 from where it is done, -0.5 from the start.
    """
    P, r, both = np.zeros((5, 4, 5)), np.zeros((5, 4)), 3
    P[ENTER, :, PAY] = P[PAY, :both, UNPAID] = P[PAY, both, PAID] = 1.0
    P[PAID:, :, END] = 1.0
    r[ENTER, both], r[PAY, both], r[PAID] = BONUS, -PRICE, PAYOFF
    return FiniteMDP(P, np.repeat(r[..., None], 2, axis=-1), np.eye(5)[ENTER], gamma)


def random_episodes(rng: np.random.Generator, states: int = 4, gamma: float = 0.8) -> FiniteMDP:
    """A random game of two agents with two actions, which ends after every step with a probability of 0.2."""
    P = np.zeros((states + 1, 4, states + 1))
    P[:states, :, :states] = 0.8 * rng.dirichlet(np.ones(states), (states, 4))
    P[:states, :, states] = 0.2
    P[states, :, states] = 1.0
    r = np.concatenate([rng.normal(size=(states, 4)), np.zeros((1, 4))])
    return FiniteMDP(P, np.repeat(r[..., None], 2, axis=-1), np.append(np.full(states, 1.0 / states), 0.0), gamma)


class Played(NamedTuple):
    """What policies of logits (..., N, O, A) do in a game, for each of some of them.

    Attributes:
        joint: (..., S, J) probabilities of joint actions.
        transition: (..., S, S).
        reward: (..., S) means.
        xi: (S,) where it begins.
    """

    joint: np.ndarray
    transition: np.ndarray
    reward: np.ndarray
    xi: np.ndarray

    def visits(self, weight: float) -> np.ndarray:
        """(..., S) sum over an episode's steps t of weight^t P(s_t = s), 0 of the end."""
        onwards = np.swapaxes(self.transition[..., :-1, :-1], -1, -2)
        found = np.linalg.solve(np.eye(onwards.shape[-1]) - weight * onwards, self.xi[:-1, None])[..., 0]
        return np.concatenate([found, np.zeros((*found.shape[:-1], 1))], axis=-1)

    def value(self, weight: float) -> np.ndarray:
        """(...) the sum over an episode of weight^t r_t."""
        return np.vecdot(self.visits(weight), self.reward)


def play(mdp: FiniteMDP, logits: np.ndarray, seen: np.ndarray) -> Played:
    """Softmax policies of logits (..., N, O, A)."""
    pi = softmax(logits, axis=-1)[..., seen, :]
    joint = pi[..., 0, :, :]
    for agent in range(1, mdp.agents):
        joint = (joint[..., None] * pi[..., agent, :, None, :]).reshape(*joint.shape[:-1], -1)
    return Played(joint, np.einsum("...sj,sjt->...st", joint, mdp.P), np.vecdot(joint, mdp.team_reward), mdp.xi)


def direction(mdp: FiniteMDP, logits: np.ndarray, seen: np.ndarray, weight: float) -> np.ndarray:
    """(..., N, O, A) E[sum over t of weight^t A(s_t, a_t) grad log pi_i(a_t|s_t)], A the advantage at `mdp.gamma`.

    With weight = gamma it is the gradient of the return; with weight = 1 what learners follow that drop gamma^t.
    """
    played = play(mdp, logits, seen)
    V = np.linalg.solve(np.eye(mdp.states) - mdp.gamma * played.transition, played.reward[..., None])
    advantage = mdp.team_reward + mdp.gamma * np.einsum("sjt,...t->...sj", mdp.P, V[..., 0]) - V
    each = played.visits(weight)[..., None] * played.joint * advantage
    found = np.zeros(logits.shape)
    for agent in range(mdp.agents):
        apart = each.reshape(*each.shape[:-1], mdp.actions**agent, mdp.actions, -1).sum(axis=(-3, -1))
        for o in range(logits.shape[-2]):
            found[..., agent, o, :] = apart[..., seen == o, :].sum(axis=-2)
    return found


class Investments:
    """E plays of `investment` side by side; the interface is `netac.envs.BatchedEnvironment`.

    Args:
        agents: two.
        seeing: whether agents see the state, one-hot, or a constant 1.
    """

    resumable, gamma, state_shape = True, GAMMA, (END,)

    def __init__(self, agents: int, games: int, seeing: bool = False):
        self._mdp, self._seeing = investment(), seeing
        self.agents, self.games, self.names = agents, games, tuple(f"agent_{agent}" for agent in range(agents))
        self.observations = ((END if seeing else 1,),) * agents
        self.actions = (ActionSpace(n_actions=2),) * agents
        self.active = np.ones((agents, games), dtype=bool)
        self._states = np.full(games, ENTER)

    def begin(self, seed: int, chain: int) -> None:
        """All games anew; nothing is drawn at random."""
        self._states[:] = ENTER

    def restart(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) anew."""
        self._states[games] = ENTER

    def observe(self, agents: range) -> list[np.ndarray]:
        """The state, one-hot, or a constant 1."""
        return [self.state() if self._seeing else np.ones((self.games, 1), dtype=np.float32) for _ in agents]

    def state(self) -> np.ndarray:
        """(E, 4) one-hot, all 0 at the end."""
        return np.eye(END + 1, END, dtype=np.float32)[self._states]

    def step(self, actions: np.ndarray) -> Step:
        """Pay both agents for the joint action (2, E)."""
        joint = 2 * actions[0] + actions[1]
        r = self._mdp.team_reward[self._states, joint]
        self._states = self._mdp.P[self._states, joint].argmax(axis=-1)
        done = self._states == END
        return Step(np.tile(r, (self.agents, 1)), np.tile(done, (self.agents, 1)), done)

    def get_state(self) -> dict[str, np.ndarray]:
        """Where the games are."""
        return {"states": self._states}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there, after `begin`."""
        self._states = state["states"].astype(np.int64)

    def close(self) -> None:
        """Nothing is held."""
