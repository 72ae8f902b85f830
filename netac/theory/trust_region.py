"""Trust regions of decentralized PPO: what paper 002's Propositions 1-3, Theorems 1-3 and Figure 1 say, and where \
they fail.

Paper 002 is "Monotonic improvement guarantees under non-stationarity for decentralized PPO".  Exact, on random Dec-MDPs
or on a game of the user's (every agent seeing its state, the reward being the mean over agents): the shift of local
transitions, the improvement bounds, the divergences of joint policies.  Exact, on games of its own: counter-examples to
Theorem 2 as it is stated, with both readings of its advantages.  They have rewards that depend on the state alone,
which all agents see, so that all its assumptions are met.  Trained, with exact J and advantages: ratios against epochs
and clip range, the joint policy's divergence against the number of agents, and the joint ratio against independent
ones.

Why the corrected bounds hold:

    Theorem 2    the sum of the agents' surrogates lacks, of the joint one,
                 sum_k (new_{<k} - old_{<k}) (new_k - old_k) old_{>k}, of L1 norm at most 4 sum_{j<k} alpha_j alpha_k
    Theorem 3    E[(ratio - 1)^2] <= epsilon^2 for each agent, and 1 + that multiplies over agents
    transitions  the visitation distribution moves by at most gamma alpha / (1 - gamma) in total variation, a step from
                 it by alpha
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from netac.theory._claims import Finding, Row, Table
from netac.theory._lab import Lab
from netac.theory._trust_bounds import Improvement, improvement
from netac.theory._trust_exact import (
    MAJORITY,
    counter_examples,
    divergence_claims,
    growth_claims,
    growth_rows,
    improvement_claims,
    pairs,
    shift,
    shift_claims,
)
from netac.theory._trust_games import agreement, majority
from netac.theory._trust_picture import draw
from netac.theory._trust_trained import ALPHA, trained, trained_claims

TAKES_GAME = True
SIZES = (2, 4, 8, 16, 32, 64)
STEPS = (0.05, 0.1, 0.2, 0.3, 0.4)


def experiment(lab: Lab) -> Finding:
    """All tests; with a game of the user's, the exact ones that apply to any game.

    Raises:
        InputError: in the user's game agents have no choice, or it is too large to be solved exactly.
    """
    updates = pairs(lab)
    improved = [improvement(*update) for update in updates]
    own = lab.game is None
    examples = [improvement(*update) for update in counter_examples()] if own else []
    claims = [*shift_claims([shift(update) for update in updates], own), *improvement_claims(improved, examples),
              *divergence_claims(lab, updates)]
    tables = [Table("updates", "Random updates: how much of the bounds' penalties was lost",
                    update_rows([update.game.mdp.agents for update in updates], improved))]
    if own:
        rows, learned = growth_rows(SIZES, ALPHA), trained(lab)
        claims += [*growth_claims(rows, ALPHA), *trained_claims(learned)]
        tables += [
            Table("majority", "Theorem 2 with its proof's advantages, in the majority game (gamma = 0.1)",
                  majority_rows()),
            Table("agreement", "Theorem 2 with the agents' own advantages, in the agreement game (gamma = 0.9)",
                  agreement_rows()),
            Table("growth", f"Joint TV of agents at the ends of their clip ranges, alpha = {ALPHA}", rows),
            Table("ratios", "Ratios after so many epochs of one update, 5 agents", learned.ratios),
            Table("trained_growth",
                  f"Joint TV of one update of 100 epochs, alpha = {ALPHA}, and the sum of the agents' TVs",
                  learned.growth),
            Table("versus", "Clipping every agent's ratio or the joint one: score averaged over training",
                  learned.versus)]
    return Finding(claims, tables, partial(draw, {table.name: table.rows for table in tables}, improved))


def majority_rows(gamma: float = 0.1, step: float = 0.01) -> list[Row]:
    """For every number of agents: (L - J) / penalty by either theorem and as corrected."""
    return [{"agents": agents, "Theorem 1": one.theorem_1, "Theorem 2": one.theorem_2_sequential,
             "corrected": one.corrected}
            for agents in MAJORITY for one in [improvement(*majority(agents, gamma, step))]]


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
