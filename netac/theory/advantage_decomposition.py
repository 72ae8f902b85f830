"""Whether the advantage of any agents is the sum of their advantages in turn, each given the actions before it.

A^{i_{1:m}}(s, a^j, a^{i_{1:m}}) = sum_l A^{i_l}(s, (a^j, a^{i_{1:l-1}}), a^{i_l}), for any order of any agents i_{1:m}
and any actions a^j of other agents that are given already (Kuba et al., 2022, Lemma 1 with equation 1), on random
games.  The left side is taken from its definition: some agents play their actions once, all other actions follow pi.
The right side is from `netac.exact.subset_advantage`, which averages a table of action values.

What follows: agents that choose in turn, each an action of no negative advantage given those before, together choose an
action of no negative advantage.  Agents that choose without regard to each other do not: where r = a_1 a_2 and the
policies play 1 and -1, agent 1 prefers -10 and agent 2 prefers 10, which together bring -100.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from netac.envs.matrix import Settings, payoff_table
from netac.exact import FiniteMDP, action_value, induced_chain, subset_advantage, value_function
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._games import random_game, soft_policies
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TAKES_GAME = True
SOURCE = "paper 001, Lemma 1"
# agents, states, actions, gamma
QUICK = ((1, 4, 3, 0.9), (2, 4, 3, 0.9), (3, 3, 2, 0.95), (4, 3, 2, 0.5), (6, 3, 2, 0.9))
FULL = (*QUICK, (2, 20, 8, 0.99), (3, 8, 4, 0.9), (5, 5, 3, 0.9), (8, 10, 2, 0.9), (10, 20, 2, 0.95))
ALL = 200                   # pairs of an order and given agents up to which all are tried, else so many drawn ones
TITLE = ("Errors of the sum, given the actions before and nothing given; least joint advantage of best actions, "
         "in turn and alone; share of states that lose alone")
ACTIONS = 16                # joint actions that are tried of each


def experiment(lab: Lab) -> Finding:
    """Random games with random policies; the user's game with several."""
    sizes = lab.choose(QUICK, FULL)
    games = [random_game(lab.rng(0, k), *size) for k, size in enumerate(sizes)] if lab.game is None else [lab.game] * 3
    rows = lab.each(row, [(game, lab.rng(1, k)) for k, game in enumerate(games)], "games")
    alone, in_turn, own = preferred()
    claims = (
        Claim("A^{i_{1:m}} = sum_l A^{i_l}, in any order, given any other agents' actions", SOURCE,
              "largest error, relative to the largest |Q|", max(row["error"] for row in rows), "<=", 0.0, 1e-12),
        Claim("agents that take their best actions in turn never lose", "paper 001, section 3.1",
              "least joint advantage over states and orders, relative to the largest |Q|",
              min(row["in_turn"] for row in rows), ">=", 0.0, 1e-12),
        Claim("advantage-based IGM can fail: the agents' own best actions need not be the best joint action",
              "paper 004, slide IGM Condition Can Fail", "joint advantage of own best actions where r = a_1 a_2",
              alone, "<=", -99.0, 1e-9),
        Claim("taken in turn, they are the best joint action there", "paper 001, section 3.1",
              "joint advantage of best actions in turn where r = a_1 a_2; the largest is 101", in_turn, ">=", 101.0,
              1e-9),
        Claim("the advantage is the sum of the agents' advantages, nothing being given",
              "assumed in value decomposition (VDN)", "sum less joint advantage where r = a_1 a_2", own - alone, ">=",
              1.0, refuted=True))
    return Finding(claims, (Table("games", TITLE, rows),), partial(_draw, rows))


def row(item: tuple[FiniteMDP, np.random.Generator]) -> Row:
    """One game with one random policy."""
    mdp, rng = item
    pi = soft_policies(rng, mdp, 0.0)
    Q, V = action_value(mdp, pi), value_function(mdp, pi)
    scale, advantage = float(np.abs(Q).max()) or 1.0, Q - V[:, None]
    cases = list(orders(mdp.agents, rng))
    whole = [order for order, given in cases if len(order) == mdp.agents] or [tuple(range(mdp.agents))]
    chosen = {kind: np.array([_joint(advantage, actions, mdp.actions) for actions in choices]) / scale
              for kind, choices in (("in_turn", [best_in_turn(mdp, pi, order, Q) for order in whole]),
                                    ("alone", [best_alone(mdp, pi, Q)]))}
    errors = np.array([errors_of(mdp, pi, Q, V, order, given, rng) for order, given in cases]) / scale
    return {"agents": mdp.agents, "states": mdp.states, "actions": mdp.actions, "gamma": mdp.gamma, "cases": len(cases),
            "error": float(errors[:, 0].max()), "ungiven": float(errors[:, 1].max()),
            "in_turn": float(chosen["in_turn"].min()), "alone": float(chosen["alone"].min()),
            "losing": float((chosen["alone"] < -1e-12).mean())}


def orders(agents: int, rng: np.random.Generator) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Ordered agents i_{1:m}, m >= 1, with others j_{1:k}, k >= 0: all there are if these are few, else drawn ones."""
    every = [(order, given) for m in range(1, agents + 1) if agents <= 4 for order in permutations(range(agents), m)
             for k in range(agents - m + 1) for given in combinations(sorted(set(range(agents)) - set(order)), k)]
    yield from every
    for _ in range(0 if every else ALL):
        mixed = tuple(rng.permutation(agents).tolist())
        m = int(rng.integers(1, agents + 1))
        yield mixed[:m], mixed[m:m + int(rng.integers(0, agents - m + 1))]


def played(mdp: FiniteMDP, pi: np.ndarray, V: np.ndarray, agents: Sequence[int], actions: np.ndarray) -> np.ndarray:
    """(S,) Q^{i_{1:m}}(s, a^{i_{1:m}}) by definition: `agents` play `actions` (m,) once, all the rest follows pi."""
    once = pi.copy()
    once[list(agents)] = np.eye(mdp.actions)[actions][:, None]
    chain = induced_chain(mdp, once)
    return chain.reward + mdp.gamma * chain.transition @ V


def errors_of(mdp: FiniteMDP, pi: np.ndarray, Q: np.ndarray, V: np.ndarray, order: Sequence[int], given: Sequence[int],
              rng: np.random.Generator) -> tuple[float, float]:
    """Largest errors of Lemma 1 over states and joint actions: as stated, and with unconditional advantages."""
    terms = [subset_advantage(mdp, pi, [agent], [*given, *order[:m]], Q) for m, agent in enumerate(order)]
    free = [subset_advantage(mdp, pi, [agent], (), Q) for agent in order]
    joint = mdp.actions**(len(given) + len(order))
    tried = np.arange(joint) if joint <= ACTIONS else rng.choice(joint, ACTIONS, replace=False)
    largest = np.zeros(2)
    for actions in np.stack(np.unravel_index(tried, (mdp.actions,) * (len(given) + len(order))), axis=1):
        k = len(given)
        left = played(mdp, pi, V, [*given, *order], actions) - played(mdp, pi, V, given, actions[:k])
        right = sum(term[(slice(None), *actions[:k + m + 1])] for m, term in enumerate(terms))
        without = sum(term[:, actions[k + m]] for m, term in enumerate(free))
        largest = np.maximum(largest, [np.abs(left - right).max(), np.abs(left - without).max()])
    return largest[0], largest[1]


def best_in_turn(mdp: FiniteMDP, pi: np.ndarray, order: Sequence[int], Q: np.ndarray) -> np.ndarray:
    """(S, N) actions: i_1 takes its best one, i_m its best one given those of i_{1:m-1}."""
    actions, states = np.zeros((mdp.states, mdp.agents), dtype=int), np.arange(mdp.states)
    for m, agent in enumerate(order):
        advantage = subset_advantage(mdp, pi, [agent], order[:m], Q)
        actions[:, agent] = advantage[(states, *(actions[:, before] for before in order[:m]))].argmax(axis=-1)
    return actions


def best_alone(mdp: FiniteMDP, pi: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """(S, N) actions: each agent's best one, no other's action being given."""
    return np.stack([subset_advantage(mdp, pi, [agent], (), Q).argmax(axis=1) for agent in range(mdp.agents)], axis=1)


def preferred() -> tuple[float, float, float]:
    """The joint advantage of the agents' best actions alone, that in turn, and the sum of the advantages alone.

    In the game r = a_1 a_2 with policies that play 1 and -1.
    """
    payoff = payoff_table(Settings(game="product"), 2)
    mdp = FiniteMDP(np.ones((1, payoff.size, 1)), payoff.reshape(1, -1, 1).repeat(2, axis=2), np.ones(1), 0.0)
    pi = np.eye(21)[[[11], [9]]]                        # action k is k - 10
    Q = action_value(mdp, pi)
    advantage = Q - value_function(mdp, pi)[:, None]
    alone = best_alone(mdp, pi, Q)
    own = sum(subset_advantage(mdp, pi, [agent], (), Q)[0, alone[0, agent]] for agent in range(2))
    in_turn = best_in_turn(mdp, pi, (0, 1), Q)
    return float(_joint(advantage, alone, 21)[0]), float(_joint(advantage, in_turn, 21)[0]), float(own)


def _joint(advantage: np.ndarray, actions: np.ndarray, n_actions: int) -> np.ndarray:
    """(S,) A(s, a) of joint actions (S, N)."""
    columns = np.ravel_multi_index(tuple(actions.T), (n_actions,) * actions.shape[1])
    return advantage[np.arange(len(advantage)), columns]


def _draw(rows: list[Row]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    names, at = [f"{row['agents']}·{row['actions']}·{row['states']}" for row in rows], np.arange(len(rows))
    left.semilogy(at, [max(row["ungiven"], 1e-17) for row in rows], "s", color="#D55E00", label="nothing given")
    left.semilogy(at, [max(row["error"], 1e-17) for row in rows], "o", color="#0072B2",
                  label="given those before (Lemma 1)")
    left.axhline(1e-12, ls="--", color="#555555", lw=1)
    left.set(ylabel="largest error / largest |Q|", title="The sum of advantages")
    left.legend()
    right.plot(at, [row["alone"] for row in rows], "s", color="#D55E00", label="each on its own")
    right.plot(at, [row["in_turn"] for row in rows], "o", color="#0072B2", label="in turn")
    right.axhline(0.0, color="black", lw=0.8)
    right.set(ylabel="least joint advantage / largest |Q|", title="Everybody's best action")
    right.legend(loc="center left", frameon=True, framealpha=0.9, edgecolor="none")
    for panel in (left, right):
        panel.set_xticks(at, names, rotation=45, ha="right")
        panel.set_xlabel("agents · actions · states")
    return figure
