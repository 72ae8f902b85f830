"""What a graph's spectral gap costs CAC: critics, disagreement and J at equal samples over all graphs and weights.

Eight agents, each paid for what another one does, run CAC on every topology and by every rule of weights that netac has
and that fits eight, from the same random numbers and with the same steps, so that all that differs is W_t.  The gap is
1 less the factor by which a round shrinks the worst disagreement (on graphs that vary: a period's, or 50 rounds', per
round).

Twice: with policies that stand still, where the agents' *mean* critic does not depend on the graph at all, since all
see the same s, a and s'; what the graph decides is how far an agent is from the mean.  If W is normal (symmetric or
circulant) this is predicted exactly from second moments (`_critic_moments`).  And with policies that are learned and
shared.  From the same moments: how many rounds an iteration should have (W^k in place of W) for an agent's distance
from the mean to be at most a quarter more than if all averaged exactly, and what that costs in bytes, which ranks
graphs otherwise than their gaps do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import schur

import netac
from netac import topology
from netac.exact import induced_chain, objective
from netac.theory import _tasks
from netac.theory._cac_copies import Copied, Copies, run
from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._critic_moments import StandingCritics, mean_of_agents
from netac.theory._lab import Lab
from netac.theory.consensus_rates import WINDOW, multiplied, worst_start
from netac.topology import Topology
from netac.utils.errors import InputError, RunError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = "this experiment"
AGENTS, UNLIKE, NOISE = 8, 0.2, 1.0
ACTOR, CRITIC = 0.5, 0.25
TASKS = _tasks.tasks(UNLIKE, AGENTS)
GAME = replace(TASKS, r=np.roll(TASKS.r, AGENTS // 2, axis=2))      # each is paid for what another one does
FURTHER: tuple[dict[str, Any], ...] = ({"name": "periodic-complete", "period": 20}, {"name": "federated", "period": 20},
                                       {"name": "gossip", "base": "ring", "probability": 0.1})
START, EVERY = 500, 4               # iterations that are left out, and one in so many is looked at
EXCESS = 0.25                       # of the distance over that with exact averages, where rounds are counted
NORMAL = 1e-9
FEW = ("complete", "ring", "path", "star", "exponential", "periodic-complete", "disconnected")


@dataclass(frozen=True, eq=False)
class Graph:
    """A topology with a rule of weights.

    Attributes:
        label: of its rows.
        topology: loaded.
    """

    label: str
    topology: Topology

    @property
    def gap(self) -> float:
        """1 - the factor by which a round shrinks the worst disagreement, on average over a period or a window."""
        period = self.topology.period or WINDOW
        return 1.0 - worst_start(multiplied(self.topology, period))[1] ** (1.0 / period)

    @property
    def messages(self) -> float:
        """That an agent sends in a round, on average over agents and a period or a window."""
        period = self.topology.period or WINDOW
        return float(np.mean([self.topology.matrix(t).nnz / AGENTS - 1.0 for t in range(period)]))

    @property
    def eigenvalues(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(N - 1,) and eigenvectors (N, N - 1) of length 1, without that of the mean; None: W varies, or is not normal.
        """
        if self.topology.period != 1:
            return None
        W = self.topology.matrix(0).toarray()
        if np.abs(W @ W.T - W.T @ W).max() > NORMAL:
            return None
        triangle, vectors = schur(W + 1.0 / AGENTS, output="complex")          # of the mean's the eigenvalue is now 2
        mean = int(np.abs(np.diag(triangle)).argmax())
        return np.delete(np.diag(triangle), mean), np.delete(vectors, mean, axis=1)


@dataclass(frozen=True)
class OfGraph:
    """What came of a graph, means over the seeds.

    Attributes:
        graph: which.
        mean, apart: policies that stand still, long-run averages: squared error of the mean V, and an agent's squared
            distance from it, on average.
        J, policy: with learning, at the end: exact J, and the mean of ||theta_i - mean theta||^2.
        predicted: `apart`, exactly; None where W is not normal.
    """

    graph: Graph
    mean: float
    apart: float
    J: float
    policy: float
    predicted: float | None


def experiment(lab: Lab) -> Finding:
    """2,500 iterations, eight seeds (quick: 1,500, six, and seven graphs)."""
    found, seeds, iterations = graphs(lab.quick), lab.choose(6, 8), lab.choose(1_500, 2_500)
    [still, learned] = lab.each(partial(measure, found=[each.topology for each in found], seeds=seeds,
                                        iterations=iterations, seed=1000 * lab.seed), (False, True), "halves")
    everything = [OfGraph(graph, mean, distance, J, policy, apart(graph)) for graph, mean, distance, J, policy in
                  zip(found, *still, *learned, strict=True)]
    rounds = sorted((row for each in everything if (row := rounds_row(each))), key=lambda row: row["bytes"])
    shown = (Table("graphs", f"All graphs by their gaps, {AGENTS} agents, {iterations:,} samples: policies that stand "
                   "still (error of the mean V, an agent's distance from it, predicted), and learned ones",
                   [_row(each) for each in sorted(everything, key=lambda each: -each.graph.gap)]),
             Table("rounds", "Rounds an iteration until an agent's distance from the mean V is that of exact averages "
                   f"and {EXCESS:.0%}, and bytes that an agent then sends in an iteration", rounds))
    claims = _claims(everything, rounds, traffic(lab.seed), lab.quick)
    return Finding(claims, shown, partial(draw, everything, rounds))


def graphs(quick: bool) -> list[Graph]:
    """All topologies and rules of netac that fit; of rules that come to the same W, the first."""
    rules = [rule for rule in topology.weight_names() if rule != "fastest" or (find_spec("cvxpy") and not quick)]
    specs: list[dict[str, Any]] = [{"name": name, "weights": rule} for name in topology.names() for rule in rules
                                   if not quick or name in FEW]
    found: list[Graph] = []
    for spec in [{"name": name} for name in topology.names() if not quick or name in FEW] + specs + [
            spec for spec in FURTHER if not quick]:
        try:
            loaded = topology.load(spec, AGENTS)
            if spec.get("weights") == "fastest" and loaded.period is None:
                continue                                # a semidefinite program an iteration
            first = [loaded.matrix(t).toarray() for t in range(loaded.period or WINDOW)]
        except (InputError, RunError):
            continue                                    # no such rule for such a graph
        if any(np.abs(W.sum(axis=k) - 1.0).max() > NORMAL for W in first for k in (0, 1)) or any(
                same(loaded, other.topology) for other in found):
            continue                                    # weights for push-sum, or those of another row
        options = " ".join(str(value) for key, value in spec.items() if key not in ("name", "weights"))
        found.append(Graph(" ".join(filter(None, (spec["name"], options, loaded.weights))), loaded))
    return found


def same(one: Topology, other: Topology) -> bool:
    """Whether two topologies have the same weights, of a period or a window."""
    return one.period == other.period and all(np.allclose(one.matrix(t).toarray(), other.matrix(t).toarray())
                                              for t in range(one.period or WINDOW))


def measure(learning: bool, found: Sequence[Topology], seeds: int, iterations: int, seed: int) -> np.ndarray:
    """(2, graphs): long-run error of the mean V and distance from it, or with learning J and disagreement."""
    G, C = len(found), len(found) * seeds
    still = np.stack([each.matrix(0).toarray() for each in found])
    varying = [k for k, each in enumerate(found) if each.period != 1]

    def weights(t: int) -> np.ndarray:
        for k in varying:
            still[k] = found[k].matrix(t).toarray()
        return np.repeat(still, seeds, axis=0)

    copies = Copies([GAME], np.zeros(C, dtype=int), [seed + k for k in range(seeds)] * G, np.ones(C, dtype=bool),
                    np.zeros(C, dtype=bool), np.tile([ACTOR * learning, CRITIC, CRITIC], (C, 1)), weights,
                    _tasks.features(GAME), NOISE)
    if learning:
        *_, x = run(copies, [iterations])
        theta = x.tables[0].reshape(C, AGENTS, -1)
        values = [[objective(GAME, x.policies(c)) for c in range(C)],
                  np.square(theta - theta.mean(axis=1, keepdims=True)).sum(axis=2).mean(axis=1)]
    else:
        fixed = critics().fixed_point(rewards()[0].mean(axis=2))
        looks = list(run_means(run(copies, range(START, iterations, EVERY)), fixed))
        values = np.mean(looks, axis=0)
    return np.reshape(values, (2, G, seeds)).mean(axis=2)


def run_means(looks: Iterator[Copied], fixed: np.ndarray) -> Iterator[np.ndarray]:
    """(2, C) the squared error of the mean V and the agents' mean squared distance from it, look by look."""
    for x in looks:
        mean = x.omega.mean(axis=1)
        yield np.stack([np.square(mean - fixed).sum(axis=1),
                        np.square(x.omega - mean[:, None]).sum(axis=2).mean(axis=1)])


def critics() -> StandingCritics:
    """V's recursion under uniform policies."""
    pi = np.full((AGENTS, GAME.states, GAME.actions), 1.0 / GAME.actions)
    return StandingCritics(induced_chain(GAME, pi).transition, np.eye(GAME.states), GAME.gamma, CRITIC)


def rewards() -> tuple[np.ndarray, np.ndarray]:
    """(S, S', N) means and (S, S', N, N) mean products of the agents' rewards given s and s', uniform policies."""
    p = GAME.P / GAME.P.sum(axis=1, keepdims=True)                                          # (S, J, S'): of a
    return np.einsum("sjt,sjn->stn", p, GAME.r), np.einsum("sjt,sjn,sjm->stnm", p, GAME.r, GAME.r)


def of_mean() -> float:
    """The long-run squared error of the agents' mean V: of any graph."""
    means, products = rewards()
    mean = means.mean(axis=2)
    critic = critics()
    return critic.in_the_long_run(critic.recursion(1.0, *mean_of_agents(
        critic, mean, products.mean(axis=(2, 3)) - mean**2 + NOISE**2 / 3.0 / AGENTS)))


def apart(graph: Graph, rounds: int = 1) -> float | None:
    """An agent's mean squared distance from the mean V in the long run, with W^rounds; None where W is not normal."""
    modes = graph.eigenvalues
    if modes is None:
        return None
    critic, (means, products) = critics(), rewards()
    total = 0.0
    for value, v in zip(modes[0], modes[1].T, strict=True):
        if abs(value) > 1.0 - NORMAL:
            return None                                 # agents that never hear of each other
        square = np.einsum("n,stnm,m->st", v.conj(), products, v).real + NOISE**2 / 3.0
        total += critic.in_the_long_run(critic.recursion(value**rounds, means @ v.conj(), square))
    return total / AGENTS


def rounds_row(each: OfGraph) -> Row | None:
    """Rounds to 1 + `EXCESS` times the distance of exact averages, and bytes; None where it is not predicted."""
    if each.predicted is None:
        return None
    wanted, low, high = (1.0 + EXCESS) * (apart(Graph("complete", topology.load("complete", AGENTS))) or 0.0), 0, 1
    while (apart(each.graph, high) or 0.0) > wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if (apart(each.graph, middle) or 0.0) <= wanted else (middle, high)
    return {"graph": each.graph.label, "gap": each.graph.gap, "messages": each.graph.messages, "rounds": high,
            "bytes": high * each.graph.messages * message()}


def message() -> int:
    """Bytes of omega, lambda and theta of an agent."""
    return 8 * (GAME.states + _tasks.features(GAME).shape[-1] + GAME.states * GAME.actions)


def traffic(seed: int) -> tuple[float, float]:
    """By how much copies differ from netac's own run on a path, in omega and theta, and its bytes from `message`."""
    T, path = 50, topology.load("path", AGENTS)
    W = path.matrix(0).toarray()
    with TemporaryDirectory(prefix="netac-") as folder:
        tables = _tasks.tables(GAME, "shared", Path(folder))
        tables["env"]["noise"] = NOISE
        found = netac.run({**tables, "iterations": T, "seed": seed, "topology": "path", "algorithm": {
            "name": "cac", "actor_step": ACTOR, "critic_step": CRITIC, "reward_step": CRITIC}})
    copies = Copies([GAME], np.zeros(1, dtype=int), (seed,), np.ones(1, dtype=bool), np.zeros(1, dtype=bool),
                    np.array([[ACTOR, CRITIC, CRITIC]]), lambda t: W, _tasks.features(GAME), NOISE)
    *_, x = run(copies, [T])
    differences = (x.omega[0] - found.parameters["omega"],
                   x.tables[0, 0].reshape(AGENTS, -1) - found.parameters["theta"])
    sent = T * Graph("path", path).messages * message()
    return (float(max(np.abs(difference).max() for difference in differences)),
            float(abs(found.metrics["bytes_consensus"][-1] / sent - 1.0)))


def _claims(found: Sequence[OfGraph], rounds: Sequence[Row], off: tuple[float, float], quick: bool) -> list[Claim]:
    by_label = {each.graph.label.split()[0]: each for each in reversed(found)}
    connected = [each for each in found if each.graph.gap > NORMAL]
    exact = [each for each in found if each.predicted is not None]
    whole, alone = by_label["complete"], by_label["disconnected"]
    least = min(connected, key=lambda each: each.graph.gap)
    cheapest = rounds[0]
    by_gap = sorted(exact, key=lambda each: each.graph.gap)
    start = objective(GAME, np.full((AGENTS, GAME.states, GAME.actions), 1.0 / GAME.actions))
    return [
        Claim("the runs, made side by side, are netac's own", "netac.theory._cac_copies",
              "largest difference of parameters, path, 50 samples", off[0], "<=", 0.0, 1e-9),
        Claim("and send as many bytes", "netac.comm.ledger", "|bytes / messages x parameters - 1|, path", off[1], "<=",
              0.0, 1e-12),
        Claim("while policies stand still, the agents' mean critic is the same on every graph", HERE,
              f"largest |error / that on the complete graph - 1| over {len(found)}",
              max(abs(each.mean / whole.mean - 1.0) for each in found), "<=", 0.0, 1e-9),
        Claim("its error is that of the exact second moments", HERE, "|measured / predicted - 1|",
              abs(whole.mean / of_mean() - 1.0), "<=", 0.0, 0.35 if quick else 0.15),
        Claim("so is the agents' distance from it, wherever W is normal", HERE,
              f"largest |measured / predicted - 1| over {len(exact)}",
              max(abs(each.apart / (each.predicted or np.nan) - 1.0) for each in exact), "<=", 0.0,
              0.35 if quick else 0.15),
        Claim("the gap alone decides on the distance", "a common reading of the bounds",
              "largest ratio of two graphs' distances of which the one with the larger gap is the farther",
              max(one.predicted / other.predicted for k, other in enumerate(by_gap) for one in by_gap[k + 1:]
                  if one.predicted and other.predicted), ">=", 1.1, refuted=True),
        Claim("J hardly depends on the gap as long as agents are connected", HERE,
              f"J on {least.graph.label} (gap {least.graph.gap:.3f}) less that on the complete graph, over what was "
              "learned there", (least.J - whole.J) / (whole.J - start), ">=", -0.05),
        Claim("it does where they are not", HERE, "J of agents that do not talk, likewise",
              (alone.J - whole.J) / (whole.J - start), "<=", -0.1),
        Claim("the graph with the largest gap costs least to equal error", "a common shortcut",
              f"bytes of complete over those of {cheapest['graph']}",
              next(row["bytes"] for row in rounds if row["graph"].startswith("complete")) / cheapest["bytes"], ">=",
              1.2, refuted=True)]


def _row(each: OfGraph) -> Row:
    return {"graph": each.graph.label, "period": each.graph.topology.period, "gap": each.graph.gap,
            "messages": each.graph.messages, "mean_V": each.mean, "apart": each.apart,
            "apart_predicted": each.predicted, "J": each.J, "policies_apart": each.policy}


def draw(found: Sequence[OfGraph], rounds: Sequence[Row]) -> Figure:
    """Critics and J against the gap, and bytes to equal error."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(12.5, 5.0), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    blue, orange, green, *_ = PALETTE
    connected = [each for each in found if each.graph.gap > NORMAL]
    gap = [each.graph.gap for each in connected]
    left.loglog(gap, [each.mean for each in connected], "o", ms=4, color=blue, label="mean V")
    left.loglog(gap, [each.apart for each in connected], "o", ms=4, color=orange, label="an agent's distance from it")
    exact = [each for each in connected if each.predicted is not None]
    left.loglog([each.graph.gap for each in exact], [each.predicted for each in exact], "x", ms=7, color="#333333",
                label="predicted")
    left.set(xlabel="spectral gap", ylabel="squared error", title="critics, policies that stand still")
    left.legend(fontsize=8)
    middle.semilogx(gap, [each.J for each in connected], "o", ms=4, color=green, label="connected graphs")
    for each in found:
        if each.graph.gap <= NORMAL:
            middle.axhline(each.J, color="#777777", lw=1, ls="--", label="agents that do not talk")
    middle.set(xlabel="spectral gap", ylabel="J (exact) at the end", title="learned policies")
    middle.legend(fontsize=8)
    for place, row in enumerate(rounds):
        right.plot(row["bytes"], place, "o", ms=4, color=blue)
        right.annotate(f"{row['rounds']} x {row['messages']:.2g}", (row["bytes"], place), fontsize=6,
                       xytext=(5, -2), textcoords="offset points")
    right.set(yticks=range(len(rounds)), xlabel="bytes an agent sends in an iteration",
              title="to equal error: rounds x messages")
    right.set_yticklabels([row["graph"] for row in rounds], fontsize=6)
    right.set_xlim(0, 1.2 * rounds[-1]["bytes"])
    return figure
