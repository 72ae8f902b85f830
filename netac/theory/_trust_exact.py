"""The exact part of the trust-region experiment: claims on games, policies and their divergences, and the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from netac.exact import softmax_gradient, subset_advantage, transition
from netac.theory._claims import Claim, Row
from netac.theory._lab import Lab
from netac.theory._trust_bounds import (
    Improvement,
    chi_square_bound,
    improvement,
    joint_tv,
    local_flow,
    local_transition,
    missed,
    missed_bound,
    one_agent_shift,
    pair_penalty,
    tv,
    tv_by_gains,
    visits,
)
from netac.theory._trust_games import (
    DecMDP,
    agreement,
    majority,
    observed,
    random_dec_mdp,
    random_policies,
    rare,
    slow_belief,
)
from netac.utils.errors import InputError

PAPER = "paper 002"
SHAPES = ((1, 3, 3), (2, 2, 2), (2, 3, 3), (3, 2, 2), (4, 2, 2))        # agents, local states, actions
GAMMAS = (0.1, 0.6, 0.95)
EPSILONS = (0.1, 0.3, 0.5, 1.0)
EXACT = 1e-12                                                           # what rounding may do
MAJORITY = tuple(range(1, 12, 2))
DISCOUNTS = (0.1, 0.5, 0.9)                                             # of the counter-examples
TIGHT = (0.1, 0.5, 0.9, 0.99)                                           # of the game that reaches Theorem 1's bound
STEP = 0.01                                                             # of policies in the majority game


class Pair(NamedTuple):
    """A game with old and new policies (N, S, A)."""

    game: DecMDP
    old: np.ndarray
    new: np.ndarray


class Shift(NamedTuple):
    """What an update did to the transitions of local states; the largest over agents and local states."""

    error: float
    """Error of Proposition 1's identity."""
    own: float
    """Total variation of agent j's term / that of its policies."""
    all: float
    """Total variation of the shift / that of the joint policies, the others' local states distributed as before."""
    pairs: float
    """Total variation of (s^k, next s^k) as visited / (that of the joint policies / (1 - gamma))."""
    summed: float
    """sum over s^k and next s^k of |shift| / (2 alpha), which the line in appendix A.3.2 has at most 1."""


def pairs(lab: Lab) -> list[Pair]:
    """Updates of random size of random policies, in the user's game or in random ones.

    Raises:
        InputError: in the user's game agents have no choice, or it is too large to be solved exactly.
    """
    rng = lab.rng(0)
    if lab.game is not None:
        if lab.game.actions < 2:
            raise InputError("the agents have no choice: policies cannot change", key="P", found="1 action",
                             valid="2 or more for every agent")
        games = [observed(lab.game)]
        many = max(5, min(lab.choose(40, 400), int(lab.choose(1e8, 1e9) / lab.game.P.size / lab.game.agents)))
    else:
        games, many = [random_dec_mdp(*shape, gamma, rng) for shape in SHAPES for gamma in GAMMAS], lab.choose(8, 60)
    return [Pair(game, *_update(game, rng)) for game in games for _ in range(many)]


class Examples(NamedTuple):
    """Updates in games of the experiment's own."""

    majority: dict[tuple[float, int], Improvement]
    """By discount and number of agents."""
    agreement: dict[float, Improvement]
    """By discount; a step of 0.4."""
    tight: dict[float, Improvement]
    """Those of the game `rare`, by discount."""
    both: Improvement
    """In the agreement game with gamma = 0.01, where the further penalty is nearly all there is."""

    def __iter__(self) -> Iterator[Improvement]:
        return iter([*self.majority.values(), *self.agreement.values(), *self.tight.values(), self.both])


def examples(agents: Sequence[int] = MAJORITY) -> Examples:
    """The games in which Theorem 2 fails, and those that say how good the bounds' constants are."""
    return Examples({(gamma, n): improvement(*majority(n, gamma, STEP)) for gamma in DISCOUNTS for n in agents},
                    {gamma: improvement(*agreement(gamma, 0.4)) for gamma in DISCOUNTS},
                    {gamma: improvement(*rare(gamma)) for gamma in TIGHT}, improvement(*agreement(0.01, 0.1)))


def shift(pair: Pair) -> Shift:
    """The exact shift by one update."""
    game, old, new = pair
    before, after = transition(game.mdp, old), transition(game.mdp, new)
    weights, later = visits(game, old), visits(game, new)
    alpha, alphas = joint_tv(old, new).max(), tv(old, new).max(axis=1)
    alone = [one_agent_shift(game, j, old, new) for j in range(len(old))]
    found = []
    for k in range(len(old)):
        total = local_transition(game, k, after, weights) - local_transition(game, k, before, weights)
        terms = [local_transition(game, k, chain, weights) for chain in alone]
        size = np.abs(total).sum(axis=1) / 2.0
        flows = tv(local_flow(game, k, before, weights).ravel(), local_flow(game, k, after, later).ravel())
        found.append((np.abs(total - sum(terms)).max(),
                      max(np.abs(term).sum(axis=1).max() / 2.0 / own
                          for term, own in zip(terms, alphas, strict=True) if own),
                      size.max() / alpha, flows * (1.0 - game.mdp.gamma) / alpha, size.sum() / alpha))
    return Shift(*map(float, np.max(found, axis=0)))


def shift_claims(found: Sequence[Shift], own_games: bool) -> list[Claim]:
    """Section 4.2 and Proposition 1."""
    source = f"{PAPER}, Proposition 1"
    claims = [
        Claim("the shift of a local state's transition is the sum of the agents' shifts, the others' local states "
              "being distributed as before", source, "largest error", max(one.error for one in found), "<=", 0.0,
              EXACT),
        Claim("agent j's term is bounded by its own divergence", f"{PAPER}, Proposition 1 and section 4.3",
              "largest TV of a term / TV of the agent's policies", max(one.own for one in found), "<=", 1.0, EXACT),
        Claim("the shift at any local state is bounded by the divergence of the joint policies, so distributed; its l1 "
              "operator norm, which the proof of Theorem 2 needs, is at most 2 alpha",
              f"{PAPER}, section 4.3 and appendix A.3.2", "largest TV of the shift / alpha",
              max(one.all for one in found), "<=", 1.0, EXACT)]
    slow = _lifted(*slow_belief())
    if own_games:
        claims += [
            Claim("it is bounded so with the others' local states as each joint policy itself has them, too",
                  f"{PAPER}, section 4.3",
                  "TV of the shift of agent 1 / alpha, in a game whose other agent's local state keeps what it did",
                  shift_of_beliefs(slow), ">=", 2.0, refuted=True),
            Claim("the line as it is written, |shift| summed over s^k and next s^k, is at most 2 alpha (a slip, which "
                  "the operator norm repairs)", f"{PAPER}, appendix A.3.2",
                  "sum / (2 alpha) of one agent with 7 states", shift(_lifted(*majority(1, 0.5, 0.1))).summed,
                  ">=", 2.0, refuted=True)]
    return [*claims, Claim(
        "visited pairs of a local state and the next shift by at most alpha / (1 - gamma)", "netac",
        "largest TV of the pairs x (1 - gamma) / alpha",
        max(one.pairs for one in [*found, *([shift(slow)] if own_games else [])]), "<=", 1.0, EXACT)]


def shift_of_beliefs(pair: Pair) -> float:
    """Largest TV of agent 1's transition, the others' local states as distributed under each joint policy, / alpha."""
    game, old, new = pair
    before, after = (local_transition(game, 0, transition(game.mdp, pi), visits(game, pi)) for pi in (old, new))
    return float(tv(before, after).max() / joint_tv(old, new).max())


def improvement_claims(found: Sequence[Improvement], own: Examples | None) -> list[Claim]:
    """Theorems 1 and 2; without examples where the game is the user's."""
    everywhere = [*found, *(own or ())]
    claims = [
        Claim("J(new) >= L - 4 epsilon gamma alpha^2 / (1 - gamma)^2, L the joint surrogate", f"{PAPER}, Theorem 1",
              "largest (L - J) / penalty", max(one.theorem_1 for one in everywhere), "<=", 1.0, 1e-9),
        Claim("the surrogates of Theorem 2's proof sum up to the joint one", f"{PAPER}, appendix A.3.2",
              "largest error", max(abs(one.sequential - one.joint) for one in everywhere), "<=", 0.0, 1e-11),
        Claim("corrected Theorem 2: own surrogates, epsilon = max |A(s, a)| over joint actions, and one penalty more, "
              "4 epsilon sum_{j<k} alpha_j alpha_k / (1 - gamma)", "netac", "largest (sum of L - J) / penalties",
              max(one.corrected for one in everywhere), "<=", 1.0, 1e-9),
        Claim("the further penalty by ratios, epsilon sqrt(prod_k (1 + chi_k) - 1 - sum_k chi_k) / (1 - gamma), chi_k "
              "the largest mean of (ratio - 1)^2", "netac", "largest (sum of L - J) / penalties",
              max(one.corrected_by_ratios for one in everywhere), "<=", 1.0, 1e-9)]
    if own is None:
        return claims
    shares = {key: one.theorem_2_sequential for key, one in own.majority.items()}
    return [
        *claims,
        Claim("4 is the smallest constant in Theorem 1, at every discount", f"{PAPER}, Theorem 1",
              f"least (L - J) / penalty over gamma = {', '.join(f'{gamma:g}' for gamma in own.tight)}",
              min(one.theorem_1 for one in own.tight.values()), ">=", 0.99),
        Claim("own surrogates miss the joint one by 4 epsilon sum_{j<k} alpha_j alpha_k, at every discount", "netac",
              "least (sum of L - joint L) / that, two agents",
              min((one.local - one.joint) / one.crossing for one in own.agreement.values()), ">=", 0.99),
        Claim("with both penalties, 4 is the smallest constant in the further one, where gamma goes to 0", "netac",
              "(sum of L - J) / penalties, gamma = 0.01", own.both.corrected, ">=", 0.98),
        Claim("Theorem 2 with the agents' own advantages, which critics of s^k and a^k are to learn (Proposition 4)",
              f"{PAPER}, Theorem 2",
              f"least J promised - J found over gamma = {', '.join(f'{gamma:g}' for gamma in own.agreement)}, of "
              "rewards from 0 to 1", min(one.theorem_2_local for one in own.agreement.values()), ">=", 0.01,
              refuted=True),
        Claim("Theorem 2 with the advantages of its proof, of agent j given that those before it have been updated",
              f"{PAPER}, Theorem 2, footnote 2", "largest (sum of L - J) / penalty, gamma = 0.1",
              max(share for (gamma, _), share in shares.items() if gamma == DISCOUNTS[0]), ">=", 1.5, refuted=True),
        Claim("so read it holds in the same games with gamma = 0.9", f"{PAPER}, Theorem 2, footnote 2",
              "largest (sum of L - J) / penalty", max(share for (gamma, _), share in shares.items()
                                                      if gamma == DISCOUNTS[-1]), "<=", 0.5),
        Claim("in these games that share is (1 - gamma) N step / alpha", "netac", "largest error",
              max(abs(share - majority_share(n, gamma)) for (gamma, n), share in shares.items()), "<=", 0.0, 1e-9)]


def majority_share(agents: int, gamma: float) -> float:
    """(sum of L - J) / penalty in the majority game, by Theorem 2 with the advantages of its proof.

    alpha is what a majority of ones gains in probability, about step sqrt(2 N / pi); so the share grows like sqrt(N).
    """
    alpha = float(binom.sf(agents // 2, agents, 0.5 + STEP)) - 0.5
    return (1.0 - gamma) * agents * STEP / alpha


# --- divergences (Propositions 2 and 3, Theorem 3) ---

def divergence_claims(lab: Lab, found: Sequence[Pair]) -> list[Claim]:
    """Propositions 2 and 3 on updates of any size, Theorem 3 on those whose ratios are within 1 +- epsilon."""
    joint = [(joint_tv(old, new).max(), tv(old, new).max(axis=1).sum()) for _, old, new in found]
    identity = max(np.abs(tv(old, new) - tv_by_gains(old, new)).max() for _, old, new in found)
    bounded = list(within_range(lab))
    own = max((tv(old, new) / epsilon).max() for epsilon, old, new in bounded)
    products = [(joint_tv(old, new).max(), epsilon, len(old)) for epsilon, old, new in bounded]
    new_action = np.array([[[1.0, 0.0]]] * 16), np.array([[[0.999, 0.001]]] * 16)
    reached = joint_tv(*new_action).max()
    return [
        Claim("the joint policies' divergence is at most the sum of the agents'", f"{PAPER}, Proposition 2",
              "largest TV of the joint policies / sum of TVs", max(all_ / total for all_, total in joint), "<=", 1.0,
              EXACT),
        Claim("the joint policies' divergence comes near the sum of the agents'", f"{PAPER}, Proposition 2",
              "TV of the joint policies / sum of TVs of 16 agents that begin to use an action", reached / 0.016,
              ">=", 0.99),
        Claim("in fact it is at most 1 - prod_k (1 - TV_k)", "netac", "largest excess in any state",
              max((joint_tv(old, new) - coupled(old, new)).max() for _, old, new in found), "<=", 0.0, EXACT),
        Claim("1 - prod_k (1 - TV_k) is reached by agents that begin to use an action", "netac", "error",
              float(np.abs(reached - coupled(*new_action)).max()), "<=", 0.0, EXACT),
        Claim("TV is the sum of new - old where new >= old", f"{PAPER}, Proposition 3", "largest error", identity,
              "<=", 0.0, EXACT),
        Claim("ratios within 1 +- epsilon keep an agent's TV below epsilon, in fact within epsilon / 2",
              f"{PAPER}, Theorem 3", "largest TV / epsilon", own, "<=", 0.5, EXACT),
        Claim("epsilon / 2 is reached", "netac", "largest TV / epsilon", own, ">=", 0.499),
        Claim("ratios within 1 +- epsilon keep the joint policies' TV below N epsilon, in fact within N epsilon / 2",
              f"{PAPER}, Theorem 3", "largest TV / (N epsilon)",
              max(all_ / (agents * epsilon) for all_, epsilon, agents in products), "<=", 0.5, EXACT),
        Claim("in fact they keep it within sqrt((1 + epsilon^2)^N - 1) / 2, about sqrt(N) epsilon / 2", "netac",
              "largest TV / bound", max(all_ / chi_square_bound(epsilon, agents) for all_, epsilon, agents in products),
              "<=", 1.0, EXACT),
        Claim("and what the agents' own changes miss of the joint one within sqrt((1 + epsilon^2)^N - 1 - N epsilon^2)",
              "netac", "largest L1 norm of what is missed / bound",
              max(missed(old, new).max() / ratio_crossing(epsilon, len(old)) for epsilon, old, new in bounded
                  if len(old) > 1), "<=", 1.0, 1e-9),
        Claim("optimising makes an action likelier wherever its advantage is positive", f"{PAPER}, proof of Theorem 3",
              "share of actions with A > 0 that a step along the exact gradient makes less likely",
              falling_share(lab), ">=", 0.01, refuted=True)]


def coupled(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(S,) 1 - prod_k (1 - TV_k): the probability that maximally coupled old and new actions differ for some agent."""
    return 1.0 - np.prod(1.0 - tv(old, new), axis=0)


def within_range(lab: Lab) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """epsilon, old and new policies (N, 1, A) with all ratios within 1 +- epsilon; the last ones reach both ends."""
    rng = lab.rng(1)
    for agents, actions in ((1, 2), (2, 4), (4, 3), (8, 2), (16, 2)):
        for epsilon in EPSILONS:
            for _ in range(lab.choose(5, 100)):
                old = rng.dirichlet(np.ones(actions), (agents, 1))
                slope = rng.standard_normal(old.shape)
                slope -= (old * slope).sum(axis=-1, keepdims=True)
                yield epsilon, old, old * (1.0 + epsilon * slope / np.abs(slope).max(axis=-1, keepdims=True))
            half = np.full((agents, 1, 2), 0.5)
            yield epsilon, half, half + epsilon * np.array([-0.5, 0.5])


def falling_share(lab: Lab) -> float:
    """Of all actions with A_k(s, a) > 0, those that a small step along J's exact gradient makes less likely."""
    rng, positive, fell = lab.rng(2), 0, 0
    for _ in range(lab.choose(10, 100)):
        game = observed(random_dec_mdp(2, 2, 4, 0.9, rng).mdp)
        old = random_policies(game, rng)
        new = old * np.exp(0.01 * softmax_gradient(game.mdp, old))
        new /= new.sum(axis=-1, keepdims=True)
        A = np.stack([subset_advantage(game.mdp, old, [k]) for k in range(2)])
        positive += int((A > 0).sum())
        fell += int(((A > 0) & (new < old)).sum())
    return fell / positive


# --- the number of agents (Theorem 3 and the text after it) ---

def alike_tv(agents: int, epsilon: float) -> float:
    """Exact joint TV of N agents with two equally likely actions, whose ratios go to 1 - epsilon and 1 + epsilon.

    A joint action's probability depends only on how many play 1, so it is the TV of two binomial distributions.
    """
    ones = np.arange(agents + 1)
    return float(tv(binom.pmf(ones, agents, 0.5), binom.pmf(ones, agents, 0.5 * (1.0 + epsilon))))


def ratio_crossing(epsilon: float, agents: int) -> float:
    """sqrt((1 + epsilon^2)^N - 1 - N epsilon^2), `missed_bound` of ratios within 1 +- epsilon."""
    return float(missed_bound(np.full(agents, epsilon**2)))


def alike_missed(agents: int, epsilon: float) -> float:
    """Exact L1 norm of what the changes of `alike_tv`'s agents miss of the joint one (`missed`)."""
    ones = np.arange(agents + 1)
    ratio = (1.0 + epsilon) ** ones * (1.0 - epsilon) ** (agents - ones)
    return float(binom.pmf(ones, agents, 0.5) @ np.abs(ratio - 1.0 - epsilon * (2 * ones - agents)))


def growth_rows(sizes: Sequence[int], alpha: float) -> list[Row]:
    """For N agents: their joint TV at the clip ranges alpha / 2 of every N, alpha / N, and alpha / sqrt(N)."""
    rows = []
    for agents in sizes:
        ranges = alpha / 2.0, alpha / agents, alpha / np.sqrt(agents)
        fixed, over_agents, over_root = (alike_tv(agents, epsilon) for epsilon in ranges)
        rows.append({"agents": agents, "fixed": fixed, "sum of TVs": agents * ranges[0] / 2.0,
                     "Theorem 3": agents * ranges[0], "chi-square": chi_square_bound(ranges[0], agents),
                     "alpha / N": over_agents, "alpha / sqrt(N)": over_root})
    return rows


def crossing_rows(sizes: Sequence[int], alpha: float) -> list[Row]:
    """For N agents: the corrected Theorem 2's further penalty / max |A|, by total variations, by ratios, and exactly.

    Penalties are those of J times 1 - gamma.
    """
    rows = []
    for agents in sizes:
        row: Row = {"agents": agents}
        for name, epsilon in (("alpha / N", alpha / agents), ("alpha / sqrt(N)", alpha / np.sqrt(agents))):
            row |= {f"{name}, by TVs": pair_penalty(np.full(agents, epsilon / 2.0)),
                    f"{name}, by ratios": ratio_crossing(epsilon, agents),
                    f"{name}, exact": alike_missed(agents, epsilon)}
        rows.append(row)
    return rows


def growth_claims(rows: Sequence[Row], crossing: Sequence[Row], alpha: float) -> list[Claim]:
    """Claims on the rows of `growth_rows` and `crossing_rows`."""
    source, limit = f"{PAPER}, section 5", float(np.sqrt(np.expm1(alpha**2) - alpha**2))
    return [
        Claim("at a fixed clip range the joint TV grows as the paper's estimate does, the sum of the agents' TVs, in "
              "proportion to their number", f"{PAPER}, section 7", "exponent of N, exact, agents at the ends of their "
              "ranges", exponent(rows, "fixed"), "<=", 0.6, refuted=True),
        Claim("a clip range of alpha / N keeps the joint TV below alpha", source, "largest TV / alpha",
              max(row["alpha / N"] for row in rows) / alpha, "<=", 1.0),
        Claim("with alpha / N it falls as agents are added", "netac", "exponent of N",
              exponent(rows, "alpha / N"), "<=", -0.4),
        Claim("a clip range of alpha / sqrt(N) keeps it below alpha, too", "netac", "largest bound / alpha",
              max(chi_square_bound(alpha / np.sqrt(row["agents"]), row["agents"]) for row in rows) / alpha, "<=", 1.0),
        Claim("with alpha / sqrt(N) it does not change as agents are added", "netac", "size of the exponent of N",
              abs(exponent(rows, "alpha / sqrt(N)")), "<=", 0.1),
        Claim("but the corrected Theorem 2's further penalty by total variations grows in proportion to them", "netac",
              "exponent of N", exponent(crossing, "alpha / sqrt(N), by TVs"), ">=", 0.9),
        Claim("by ratios, which are within 1 +- alpha / sqrt(N), it stays below sqrt(exp(alpha^2) - 1 - alpha^2)",
              "netac", "largest / that", max(row["alpha / sqrt(N), by ratios"] for row in crossing) / limit, "<=", 1.0),
        Claim("which is above what agents at the ends of their ranges miss", "netac", "largest exact / by ratios",
              max(row[f"{name}, exact"] / row[f"{name}, by ratios"] for row in crossing
                  for name in ("alpha / N", "alpha / sqrt(N)")), "<=", 1.0, 1e-9)]


def exponent(rows: Sequence[Row], column: str) -> float:
    """The slope of the log of a column against log N."""
    return float(np.polyfit(np.log([row["agents"] for row in rows]), np.log([row[column] for row in rows]), 1)[0])


def _update(game: DecMDP, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, S, A) random policies, and their mixture with other ones, of a random share of 1 to 100 %."""
    old, aim = random_policies(game, rng), random_policies(game, rng)
    return game.lift(old), game.lift(old + 10.0 ** rng.uniform(-2.0, 0.0) * (aim - old))


def _lifted(game: DecMDP, old: np.ndarray, new: np.ndarray) -> Pair:
    return Pair(game, game.lift(old), game.lift(new))
