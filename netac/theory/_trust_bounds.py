"""Exact quantities of paper 002 ("Monotonic improvement guarantees under non-stationarity for decentralized PPO").

Old and new policies are (N, S, A), lifted (`DecMDP.lift`).  Returns, surrogates and penalties are normalised as J is:
1 - gamma times the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netac.exact import (
    action_value,
    joint_policy,
    objective,
    subset_advantage,
    transition,
    value_function,
    visitation_distribution,
)
from netac.theory._trust_games import DecMDP

CONSTANT = 4.0              # of Theorems 1 and 2


def tv(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Total variation of distributions along the last axis, half the L1 distance."""
    return 0.5 * np.abs(q - p).sum(axis=-1)


def tv_by_gains(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The same by Proposition 3: the sum of q - p where q >= p."""
    return np.where(q >= p, q - p, 0.0).sum(axis=-1)


def joint_tv(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(S,) total variation of the joint policies."""
    return tv(joint_policy(old), joint_policy(new))


def chi_square_bound(epsilon: float, agents: int) -> float:
    """sqrt((1 + epsilon^2)^N - 1) / 2, above the joint total variation if all N agents' ratios are within 1 +- epsilon.

    The chi-square divergence E_pi[(ratio - 1)^2] of an agent is at most epsilon^2; 1 + that of the joint policies is
    the product of the agents' 1 + theirs; and by Cauchy-Schwarz TV <= sqrt(chi-square) / 2.
    """
    return 0.5 * float(np.sqrt(np.expm1(agents * np.log1p(epsilon**2))))


def pair_penalty(alphas: np.ndarray) -> float:
    """4 sum_{j<k} alpha_j alpha_k, above `missed`, of the agents' largest total variations (N,)."""
    return CONSTANT * float(alphas.sum() ** 2 - (alphas**2).sum()) / 2.0


def chi_squares(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(N, S) chi-square divergences of the agents' policies, E_old[(ratio - 1)^2]; old > 0 wherever new > 0."""
    return (np.square(new - old) / np.where(old > 0, old, 1.0)).sum(axis=-1)


def missed(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(S,) L1 norm of what the agents' own changes miss of the joint policy's change.

    That is new - old of the joint policy less the sum over agents of the same with one agent's policy changed.
    """
    before = joint_policy(old)
    left = joint_policy(new) - before
    for k in range(len(old)):
        left -= joint_policy(np.concatenate([old[:k], new[k:k + 1], old[k + 1:]])) - before
    return np.abs(left).sum(axis=-1)


def missed_bound(chi: np.ndarray) -> np.ndarray:
    """sqrt(prod_k (1 + chi_k) - 1 - sum_k chi_k) of chi-squares (N, ...), above `missed`.

    With x_k the ratio of agent k less 1, `missed` is E_old |prod_k (1 + x_k) - 1 - sum_k x_k|, which is the sum of all
    products of two or more of the x_k.  These have mean 0 and are uncorrelated, so its second moment is the sum of the
    products of two or more of the chi_k.  If all ratios are within 1 +- epsilon, chi_k <= epsilon^2.
    """
    several, single = np.zeros(chi.shape[1:]), np.zeros(chi.shape[1:])
    for one in chi:
        several, single = several * (1.0 + one) + single * one, single + one
    return np.sqrt(several)


# --- the transition of local states (section 4.2, Proposition 1, appendix A.3.1) ---

def visits(game: DecMDP, pi: np.ndarray) -> np.ndarray:
    """(S,) discounted visitation distribution."""
    return visitation_distribution(transition(game.mdp, pi), game.mdp.xi, game.mdp.gamma)


def local_flow(game: DecMDP, agent: int, chain: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(L, L') sum of weights(s) chain(s, s') over the states of local state s^k and next local state."""
    flow = np.zeros((game.seen, game.seen))
    own = game.local[agent]
    np.add.at(flow, (own[:, None], own[None, :]), weights[:, None] * chain)
    return flow


def local_transition(game: DecMDP, agent: int, chain: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(L, L') p(next s^k | s^k) with states distributed as `weights` (S,); 0 where s^k has probability 0."""
    mass = np.bincount(game.local[agent], weights, game.seen)[:, None]
    return local_flow(game, agent, chain, weights) / np.where(mass > 0, mass, 1.0)


def one_agent_shift(game: DecMDP, j: int, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(S, S') sum_a p(s'|s, a) new_{<j} (new_j - old_j) old_{>j}.

    The change of the transition by agent j's update alone, the agents before it having been updated.
    """
    factors = np.concatenate([new[:j], new[j:j + 1] - old[j:j + 1], old[j + 1:]])
    return np.matmul(joint_policy(factors)[:, None, :], game.mdp.P)[:, 0]


# --- improvement (Theorems 1 and 2) ---

@dataclass(frozen=True)
class Improvement:
    """An update's gain and the terms of its bounds.

    Attributes:
        gain: J(new) - J(old).
        alpha: largest total variation of the joint policy over the states.
        alphas: (N,) those of the agents.
        gamma: discount.
        joint: sum_s d(s) sum_a new(a|s) A(s, a), L_pi of Theorem 1 less J(old).
        local: sum_k E[new_k(a^k|s^k) A_k(s^k, a^k)], A_k = E[A(s, a) | s^k, a^k] under the old policies: what critics
            of s^k and a^k converge to (Proposition 4), Theorem 2's sum of surrogates.
        sequential: the same with the advantages of Theorem 2's proof (footnote 2), of agent j given that the agents
            before it have been updated.
        missed: largest `missed_bound` over the states.
        largest: of |A|, over joint actions, over `local` and over `sequential` advantages.
    """

    gain: float
    alpha: float
    alphas: np.ndarray
    gamma: float
    joint: float
    local: float
    sequential: float
    missed: float
    largest: tuple[float, float, float]

    def penalty(self, largest: float) -> float:
        """4 epsilon gamma alpha^2 / (1 - gamma), that of both theorems times 1 - gamma."""
        return CONSTANT * largest * self.gamma * self.alpha**2 / (1.0 - self.gamma)

    @property
    def crossing(self) -> float:
        """4 epsilon sum_{j<k} alpha_j alpha_k: what the agents' surrogates miss of the joint one, at most."""
        return self.largest[0] * pair_penalty(self.alphas)

    @property
    def crossing_by_ratios(self) -> float:
        """max |A| `missed`, the same by the ratios in place of the total variations."""
        return self.largest[0] * self.missed

    @property
    def theorem_1(self) -> float:
        """(L - J(new)) / penalty; at most 1 if the theorem holds."""
        return _share(self.joint - self.gain, self.penalty(self.largest[0]))

    @property
    def theorem_2_local(self) -> float:
        """The return that Theorem 2 promises less that found, with critics' advantages: at most 0 if it holds."""
        return self.local - self.penalty(self.largest[1]) - self.gain

    @property
    def theorem_2_sequential(self) -> float:
        """(L - J(new)) / penalty with the advantages of its proof; at most 1 if it holds."""
        return _share(self.sequential - self.gain, self.penalty(self.largest[2]))

    @property
    def corrected(self) -> float:
        """(sum of the agents' surrogates - J(new)) / (penalty + crossing), epsilon over joint actions; at most 1."""
        return _share(self.local - self.gain, self.local - self.lowest)

    @property
    def corrected_by_ratios(self) -> float:
        """The same with `crossing_by_ratios`; at most 1."""
        return _share(self.local - self.gain, self.penalty(self.largest[0]) + self.crossing_by_ratios)

    @property
    def lowest(self) -> float:
        """J(new) - J(old) is at least this, by the corrected bound."""
        return self.local - self.penalty(self.largest[0]) - self.crossing


def improvement(game: DecMDP, old: np.ndarray, new: np.ndarray) -> Improvement:
    """The exact terms of one update, from policies `old` to `new` (N, S, A)."""
    mdp, d = game.mdp, visits(game, old)
    A = action_value(mdp, old) - value_function(mdp, old)[:, None]
    joint = float(d @ (joint_policy(new) * A).sum(axis=1))
    own = [_surrogate(game, k, d, new, subset_advantage(mdp, old, [k], Q=A)) for k in range(mdp.agents)]
    after = [_surrogate(game, k, d, new, subset_advantage(mdp, np.concatenate([new[:k], old[k:]]), [k], Q=A))
             for k in range(mdp.agents)]
    (local, largest_local), (sequential, largest_sequential) = (
        (sum(value for value, _ in found), max(largest for _, largest in found)) for found in (own, after))
    return Improvement(objective(mdp, new) - objective(mdp, old), float(joint_tv(old, new).max()),
                       tv(old, new).max(axis=1), mdp.gamma, joint, local, sequential,
                       float(missed_bound(chi_squares(old, new)).max()),
                       (float(np.abs(A).max()), largest_local, largest_sequential))


def local_mean(game: DecMDP, agent: int, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(L, ...) mean of `values` (S, ...) over the states of each s^k, weighted by `weights` (S,); 0 for no states."""
    own = game.local[agent]
    mass, total = np.bincount(own, weights, game.seen), np.zeros((game.seen, *values.shape[1:]))
    np.add.at(total, own, (weights * values.T).T)
    return (total.T / np.where(mass > 0, mass, 1.0)).T


def _surrogate(game: DecMDP, agent: int, d: np.ndarray, new: np.ndarray, A: np.ndarray) -> tuple[float, float]:
    """E[new_k(a|s^k) A_k(s^k, a)] and max |A_k|, with A_k (L, A) the mean of A (S, A) over states of equal s^k."""
    mean = local_mean(game, agent, d, A)
    return float((d[:, None] * new[agent] * mean[game.local[agent]]).sum()), float(np.abs(mean).max())


def _share(loss: float, bound: float) -> float:
    """loss / bound; where the bound is 0 up to rounding, infinite if there is a loss."""
    if bound > 1e-14:
        return loss / bound
    return 0.0 if loss <= 1e-12 else np.inf
