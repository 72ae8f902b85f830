"""How fast consensus forgets disagreement, against the spectrum of the weights (Zeng et al., 2022, Assumptions 1 and \
2).

For doubly stochastic W_t the mean of the agents' numbers stays, and a period of p rounds multiplies the disagreement
||x - mean x|| by at most sigma = ||W_{p-1} ... W_0 - 11'/N||_2, for static symmetric W the second largest absolute
eigenvalue.  netac's own exchange mixes two starts.  Random numbers must not shrink more slowly.  The right singular
vector of sigma, of a product multiplied out separately, must shrink by exactly sigma: that is algebra, and a test of
the mixer, which has to multiply by the very weights that sigma is computed from.
The rounds that the certificate of `netac graph` names must be enough for these, and one fewer too few for the worst.
The one-peer exponential graph averages n = 2^k agents exactly after k rounds of one message each.  Two common beliefs
are refuted: that the one-peer exponential graph does so for every n, and that averaging over one's neighbours,
1 / (1 + degree) each, keeps the mean.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array

from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab
from netac.topology import Topology, certify, load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ASSUMPTION, MIXER = "paper 003, Assumption 2", "netac's exchange against products of W"
TARGET = 1e-6               # of the first disagreement
WIDTH = 8                   # numbers an agent holds: 64 bytes a message
LONGEST = 20_000            # rounds at most
WINDOW = 50                 # rounds that serve as the period of a sequence that has none
EXACT = 1e-13               # what is left of a disagreement that is gone
GRAPHS = ("complete", "ring", "path", "star", "grid", "torus", "hypercube", "exponential", "small-world", "tree")
RULES = ("metropolis", "lazy-metropolis", "max-degree")
SEQUENCES: tuple[dict[str, Any], ...] = (
    {"name": "one-peer-exponential"}, {"name": "periodic-complete", "period": 5},
    {"name": "periodic-complete", "period": 20}, {"name": "federated", "period": 5}, {"name": "alternating"},
    {"name": "gossip", "base": "ring", "probability": 0.5}, {"name": "gossip", "base": "complete", "probability": 0.1})
DRAWN = ("path", "ring", "torus", "exponential", "one-peer-exponential", "periodic-complete 5", "gossip ring 0.5")


@dataclass(frozen=True)
class Mixed:
    """What one topology did for one number of agents.

    Attributes:
        label, rule, agents: the topology, its weights' rule and n.
        period: number of rounds that sigma is for.
        sigma: predicted contraction of a period.
        worst: the contraction of the worst start, measured.
        disagreement: (rounds + 1,) ||x - mean x|| of random numbers, over that at the start.
        drift: largest change of a column's mean, over the largest number.
        predicted: rounds to `TARGET` by the certificate, whatever the start; None without a period.
        before: what is left of the worst start's disagreement one round before.
        bytes: (mean, most) sent by an agent until then.
    """

    label: str
    rule: str
    agents: int
    period: int
    sigma: float
    worst: float
    disagreement: np.ndarray
    drift: float
    predicted: int | None
    before: float | None
    bytes: tuple[float, int]

    @property
    def rounds(self) -> int:
        """Rounds until the disagreement was `TARGET` of the first."""
        return len(self.disagreement) - 1

    @property
    def growth(self) -> float:
        """The largest factor by which a round changed the disagreement, as long as there was any."""
        d = self.disagreement
        return float((d[1:] / np.maximum(d[:-1], EXACT)).max())

    @property
    def slack(self) -> float:
        """The largest excess of the disagreement over sigma^periods at the ends of periods (else of windows)."""
        at_ends = self.disagreement[::self.period][:None if self.predicted else 2]
        return float((at_ends - self.sigma ** np.arange(len(at_ends))).max())


def experiment(lab: Lab) -> Finding:
    """n = 8, 16, 32 (quick: 8, 16), every built-in graph and rule that fits; with cvxpy "fastest" on four graphs."""
    sizes = lab.choose((8, 16), (8, 16, 32))
    specs = [{"name": name, "weights": rule} for name in GRAPHS for rule in RULES]
    specs += [{"name": "complete", "weights": "uniform"}, *SEQUENCES]
    if find_spec("cvxpy") and not lab.quick:
        specs += [{"name": name, "weights": "fastest"} for name in ("ring", "path", "star", "torus")]
    done: list[Mixed] = lab.each(partial(mixed, seed=lab.seed), [(spec, n) for n in sizes for spec in specs],
                                 "topologies")
    other = {n: exactness(n) for n in range(2, 65)}
    powers = [n for n in other if n & (n - 1) == 0]
    table = Table("topologies",
                  f"Rounds and bytes until disagreement is {TARGET:g} of the first ({WIDTH} numbers an agent)",
                  [_row(each) for each in done])
    one_peer = Table("one_peer", "One-peer exponential: what is left of the disagreement after ceil(log2 n) rounds",
                     [{"n": n, "rounds": (n - 1).bit_length(), "left": left} for n, left in other.items()])
    return Finding(_claims(done, other, powers), (table, one_peer), partial(draw, done, sizes[-1]))


def mixed(item: tuple[dict[str, Any], int], seed: int) -> Mixed:
    """One topology for n agents, mixed until disagreement is `TARGET` of the first."""
    spec, n = item
    with warnings.catch_warnings():     # the solver of the rule "fastest" may doubt its last digits: measured below
        warnings.simplefilter("ignore", UserWarning)
        topology = load(spec, n)
    certified, period = certify(topology).mixing, topology.period or WINDOW
    predicted = certified.rounds if certified and topology.period else None
    product = multiplied(topology, period)
    worst, sigma = worst_start(product)
    d = worst / np.linalg.norm(worst)
    once = Network(topology.matrix, Placement(n), Ledger(n))
    for t in range(period):
        d = once.mix(t, d)
    ledger = Ledger(n)
    curve, drift = mix(Network(topology.matrix, Placement(n), ledger),
                       np.random.default_rng([seed, n]).normal(size=(n, WIDTH)))
    sent = ledger.consensus_bytes
    return Mixed(label(spec), topology.weights, n, period, sigma, disagreement(d), curve, drift,
                 predicted, None if predicted is None else worst_start(multiplied(topology, predicted - 1))[1],
                 (float(sent.mean()), int(sent.max())))


def mix(network: Network, x: np.ndarray, rounds: int = LONGEST) -> tuple[np.ndarray, float]:
    """Mix x (n, width) until its disagreement is `TARGET` of the first.

    Returns:
        the disagreement by rounds, (rounds + 1,), and the mean's largest drift over the largest number.
    """
    start, mean, drift, course = disagreement(x), x.mean(axis=0), 0.0, [1.0]
    scale = np.abs(x).max()
    for t in range(rounds):
        x = network.mix(t, np.ascontiguousarray(x)).copy()
        course.append(disagreement(x) / start)
        drift = max(drift, float(np.abs(x.mean(axis=0) - mean).max() / scale))
        if course[-1] <= TARGET:
            break
    return np.array(course), drift


def disagreement(x: np.ndarray) -> float:
    """||x - mean x|| (Frobenius)."""
    return float(np.linalg.norm(x - x.mean(axis=0)))


def multiplied(topology: Topology, rounds: int) -> np.ndarray:
    """(n, n) W_{rounds - 1} ... W_0, by dense products."""
    product = np.eye(topology.agents)
    for t in range(rounds):
        product = topology.matrix(t).toarray() @ product
    return product


def worst_start(product: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, 1) the numbers whose disagreement a product of weights shrinks least, and sigma, by how much."""
    _, sigma, right = np.linalg.svd(product - 1.0 / len(product))
    return right[0][:, None].copy(), float(sigma[0])


def exactness(n: int) -> float:
    """What one-peer exponential leaves of the worst disagreement of n agents after ceil(log2 n) rounds."""
    topology = load("one-peer-exponential", n)
    assert topology.period, "it has one"
    return worst_start(multiplied(topology, topology.period))[1]


def drift_of(W: np.ndarray) -> float:
    """How far one exchange with weights W moves the mean of the numbers 0, ..., n - 1, over the largest of them."""
    n = len(W)
    x = np.arange(n, dtype=float)[:, None]
    return mix(Network(lambda t: csr_array(W), Placement(n), Ledger(n)), x, rounds=1)[1]


def by_degree(n: int) -> np.ndarray:
    """(n, n) row-stochastic weights 1 / (1 + degree) on a star."""
    W = np.eye(n)
    W[0] = W[:, 0] = 1.0
    return W / W.sum(axis=1, keepdims=True)


def label(spec: dict[str, Any]) -> str:
    """A topology in the tables' words: its name and its options."""
    return " ".join(str(value) for key, value in spec.items() if key != "weights")


def _claims(done: list[Mixed], other: dict[int, float], powers: list[int]) -> list[Claim]:
    static = [each for each in done if each.period == 1]
    varying = [each for each in done if each.period > 1]
    foretold = [each.rounds / each.predicted for each in done if each.predicted is not None]
    return [
        Claim("a test of the mixer, static graphs: sigma's own singular vector shrinks by sigma in a round", MIXER,
              f"largest |measured - sigma| over {len(static)} graphs, rules and n",
              max(abs(each.worst - each.sigma) for each in static), "<=", 0.0, 1e-12),
        Claim("a test of the mixer, time-varying graphs: the same in a period (without one: in 50 rounds)", MIXER,
              f"largest |measured - sigma| over {len(varying)} sequences and n",
              max(abs(each.worst - each.sigma) for each in varying), "<=", 0.0, 1e-12),
        Claim("nothing shrinks slower than sigma per period", ASSUMPTION,
              "largest excess of a random start's disagreement over sigma^periods, over the first",
              max(each.slack for each in done), "<=", 0.0, 1e-12),
        Claim("the certificate's rounds suffice", "netac graph",
              f"largest measured / predicted rounds over {len(foretold)}", max(foretold), "<=", 1.0),
        Claim("no fewer would: one round before, the worst start is not there", "netac graph",
              f"least that is left of it, over {TARGET:g}",
              min(each.before for each in done if each.before is not None) / TARGET, ">=", 1.0, 1e-8),
        Claim("disagreement never grows", ASSUMPTION, "largest factor of a round",
              max(each.growth for each in done), "<=", 1.0, 1e-12),
        Claim("the agents' mean stays", ASSUMPTION, "largest drift over all rounds, over the largest number",
              max(each.drift for each in done), "<=", 0.0, 1e-12),
        Claim("one-peer exponential averages exactly after log2 n rounds, n a power of two", "Ying et al., 2021",
              f"most that is left of a disagreement over n = {powers}", max(other[n] for n in powers), "<=", 0.0,
              1e-14),
        Claim("one-peer exponential averages exactly after ceil(log2 n) rounds for every n",
              "a common reading of the same", f"least that is left over n <= {max(other)} that are no powers of two",
              min(left for n, left in other.items() if n not in powers), ">=", 1e-3, refuted=True),
        Claim("weights 1 / (1 + degree), a mean over one's neighbours, keep the agents' mean", "a common shortcut",
              "drift of the mean on a star of 8 in a round", drift_of(by_degree(8)), ">=", 1e-2, refuted=True)]


def _row(each: Mixed) -> dict[str, Any]:
    return {"topology": each.label, "weights": each.rule, "n": each.agents, "period": each.period, "sigma": each.sigma,
            "worst_start": each.worst, "sigma_per_round": each.sigma ** (1 / each.period), "rounds": each.rounds,
            "predicted": each.predicted, "bytes_mean": each.bytes[0], "bytes_most": each.bytes[1]}


def draw(done: list[Mixed], n: int) -> Figure:
    """Disagreement by rounds beside its predictions, and the cost of agreement."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    chosen = [each for each in done if each.agents == n and each.label in DRAWN and each.rule in ("metropolis", "file")]
    colours = dict(zip((each.label for each in chosen), PALETTE, strict=False))
    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for each in chosen:
        shown = np.maximum(each.disagreement, 1e-17)
        left.loglog(np.arange(1, len(shown) + 1), shown, color=colours[each.label], lw=1.8, label=each.label)
        if each.sigma > EXACT:
            ends = np.arange(0, len(shown), each.period)
            left.loglog(ends + 1, each.sigma ** (ends / each.period), ":", color=colours[each.label], lw=1.2)
    left.set(xlabel="1 + rounds", ylabel="disagreement / that at the start", ylim=(TARGET / 3, 2.0),
             title=f"n = {n}; dotted: at most, by sigma")
    left.legend(fontsize=8)
    priced = sorted((each for each in done if each.agents == n and each.rule in ("metropolis", "file")),
                    key=lambda each: (each.bytes[0], each.rounds))
    for place, each in enumerate(priced):
        right.semilogx(each.bytes[0], place, "o", ms=5, color=colours.get(each.label, "#999999"))
        right.annotate(f"{each.rounds:,} rounds", (each.bytes[0], place), fontsize=7.5, xytext=(7, -2.5),
                       textcoords="offset points")
    right.set(yticks=range(len(priced)), xlabel=f"bytes sent by an agent, {WIDTH} numbers",
              title=f"the price of a disagreement of {TARGET:g}, n = {n}")
    right.set_yticklabels([each.label for each in priced], fontsize=8)
    right.margins(x=0.25)
    return figure
