"""Trust regions of decentralized PPO: what paper 002's Propositions 1-4, Theorems 1-3 and Figure 1 say, and where \
they fail.

Paper 002 is "Monotonic improvement guarantees under non-stationarity for decentralized PPO".  Exact, on random Dec-MDPs
or on a game of the user's (every agent seeing its state, the reward being the mean over agents): the shift of local
transitions, the improvement bounds, the divergences of joint policies.  Exact, on games of its own: counter-examples to
Theorem 2 as it is stated, with both readings of its advantages (their rewards depend on the state alone, which all
agents see, so that all its assumptions are met); a game that reaches Theorem 1's bound; fixed points of critics that
see less than the state (Proposition 4).  Trained, with exact J and advantages: ratios against epochs and clip range,
the joint policy's divergence against the number of agents, and the joint ratio against independent ones.

Why the corrected bounds hold:

    Theorem 2    the sum of the agents' surrogates lacks, of the joint one,
                 sum_k (new_{<k} - old_{<k}) (new_k - old_k) old_{>k}, of L1 norm at most 4 sum_{j<k} alpha_j alpha_k,
                 and at most sqrt(prod_k (1 + chi_k) - 1 - sum_k chi_k), chi_k the largest E_old[(ratio - 1)^2]
    Theorem 3    E[(ratio - 1)^2] <= epsilon^2 for each agent, and 1 + that multiplies over agents
    transitions  the visitation distribution moves by at most gamma alpha / (1 - gamma) in total variation, a step from
                 it by alpha
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from netac.theory import _trust_trained as trained
from netac.theory._claims import Finding, Row, Table
from netac.theory._lab import Lab
from netac.theory._trust_bounds import Improvement, improvement
from netac.theory._trust_critics import alias_rows, critic_claims, memory_rows, noise_rows
from netac.theory._trust_exact import (
    DISCOUNTS,
    MAJORITY,
    Examples,
    crossing_rows,
    divergence_claims,
    examples,
    growth_claims,
    growth_rows,
    improvement_claims,
    majority_share,
    pairs,
    shift,
    shift_claims,
)
from netac.theory._trust_games import agreement
from netac.theory._trust_picture import draw

TAKES_GAME = True
SIZES = (2, 4, 8, 16, 32, 64)
LARGE = (33, 63, 65, 101)           # agents of the majority game by its formula alone
STEPS = (0.05, 0.1, 0.2, 0.3, 0.4)


def experiment(lab: Lab) -> Finding:
    """All tests; with a game of the user's, the exact ones that apply to any game.

    Raises:
        InputError: in the user's game agents have no choice, or it is too large to be solved exactly.
    """
    updates = pairs(lab)
    improved = [improvement(*update) for update in updates]
    own = examples() if lab.game is None else None
    claims = [*shift_claims([shift(update) for update in updates], own is not None),
              *improvement_claims(improved, own), *divergence_claims(lab, updates)]
    tables = [Table("updates", "Random updates: how much of the bounds' penalties was lost",
                    update_rows([update.game.mdp.agents for update in updates], improved))]
    if own is not None:
        alpha = trained.ALPHA
        rows, crossing, noise = growth_rows(SIZES, alpha), crossing_rows(SIZES, alpha), noise_rows()
        ratios, growth, versus = trained.ratio_rows(lab), trained.growth_rows(lab), trained.versus_rows(lab)
        claims += [*growth_claims(rows, crossing, alpha), *critic_claims(lab, noise), *trained.ratio_claims(ratios),
                   *trained.growth_claims(growth), *trained.versus_claims(versus)]
        tables += [
            Table("majority", f"Theorem 2 with its proof's advantages, in the majority game (gamma = {DISCOUNTS[0]})",
                  majority_rows(own)),
            Table("discounts", "Theorem 2 with its proof's advantages, in the majority game: loss / penalty by gamma; "
                  "the formula is (1 - gamma) N step / alpha", discount_rows(own)),
            Table("tight", "Theorem 1 where it is as tight as can be, and what own surrogates miss (agreement game)",
                  tight_rows(own)),
            Table("agreement", "Theorem 2 with the agents' own advantages, in the agreement game (gamma = 0.9)",
                  agreement_rows()),
            Table("growth", f"Joint TV of agents at the ends of their clip ranges, alpha = {alpha}", rows),
            Table("crossing", f"The corrected Theorem 2's further penalty / max |A|, alpha = {alpha}", crossing),
            Table("aliased", "Proposition 4 in a random Dec-MDP: the values that agent 1's critic settles on",
                  alias_rows()),
            Table("noise", "A slow state seen through noise, by the lambda of TD and GAE: agent 1's values and "
                  "advantages", noise),
            Table("memory", "The same: root mean square error of TD(0) for critics of the last local states",
                  memory_rows(lab)),
            Table("ratios", "Ratios after so many epochs of one update, 5 agents", ratios),
            Table("trained_growth",
                  f"Joint TV of one update of 100 epochs, alpha = {alpha}, and the sum of the agents' TVs",
                  growth),
            Table("versus", "Clipping every agent's ratio or the joint one: score averaged over training", versus)]
    return Finding(claims, tables, partial(draw, {table.name: table.rows for table in tables}, improved))


def majority_rows(own: Examples) -> list[Row]:
    """For every number of agents: (L - J) / penalty by either theorem and as corrected."""
    return [{"agents": agents, "Theorem 1": one.theorem_1, "Theorem 2": one.theorem_2_sequential,
             "corrected": one.corrected, "corrected, by ratios": one.corrected_by_ratios}
            for agents in MAJORITY for one in [own.majority[DISCOUNTS[0], agents]]]


def discount_rows(own: Examples) -> list[Row]:
    """For every number of agents: (L - J) / penalty by Theorem 2, found and by the formula."""
    found = [{f"gamma {gamma}": own.majority[gamma, agents].theorem_2_sequential for gamma in DISCOUNTS}
             for agents in MAJORITY]
    return [{"agents": agents, **row, f"formula, gamma {DISCOUNTS[-1]}": majority_share(agents, DISCOUNTS[-1])}
            for agents, row in zip((*MAJORITY, *LARGE), found + [dict.fromkeys(found[0])] * len(LARGE), strict=True)]


def tight_rows(own: Examples) -> list[Row]:
    """For every discount: the share of Theorem 1's penalty that is lost, and of the further one that is missed."""
    return [{"gamma": gamma, "loss / penalty, Theorem 1": one.theorem_1, "surrogates missed / further penalty":
             None if met is None else (met.local - met.joint) / met.crossing}
            for gamma, one in own.tight.items() for met in [own.agreement.get(gamma)]]


def agreement_rows(gamma: float = 0.9) -> list[Row]:
    """For every size of the step: J less that before, and the least that either bound allows."""
    return [{"step": step, "found": one.gain, "Theorem 2": one.local - one.penalty(one.largest[1]),
             "corrected": one.lowest}
            for step in STEPS for one in [improvement(*agreement(gamma, step))]]


def update_rows(agents: Sequence[int], found: Sequence[Improvement]) -> list[Row]:
    """The largest of each quantity, for every discount and number of agents of the updates' games."""
    groups: dict[tuple[float, int], list[Improvement]] = {}
    for n, one in zip(agents, found, strict=True):
        groups.setdefault((one.gamma, n), []).append(one)
    return [{"gamma": gamma, "agents": n, "updates": len(ours), "alpha": max(one.alpha for one in ours),
             "sum of alphas": max(float(one.alphas.sum()) for one in ours),
             "loss / penalty, Theorem 1": max(one.theorem_1 for one in ours),
             "loss / penalties, corrected": max(one.corrected for one in ours)} for (gamma, n), ours in groups.items()]
