"""How many bits averaging takes with messages of few bits, plain, with error feedback, and by CHOCO-Gossip.

Random values are averaged by netac's own network under the conditions `top-k`, `random-k`, `quantisation` and `sign` of
the table [network], with each of which a message is really written in so many bits (Koloskova, Stich and Jaggi, 2019).

Plain quantisation, x <- x + (W - I) C(x) with unbiased C, stops at a floor.  C(x) = x + e, so x <- W x + (W - I) e, and
in the mode of W with eigenvalue lambda_k the disagreement y_k <- lambda_k y_k - (1 - lambda_k) e_k.  The e of different
agents are independent, of mean 0; so, in the long run,

    E |y_k|^2 = (1 - lambda_k)^2 / (1 - lambda_k^2) v = (1 - lambda_k) / (1 + lambda_k) v,
    E ||x - mean x||^2 = v sum over k >= 2 of (1 - lambda_k) / (1 + lambda_k),      v = E ||e_i||^2.

A value that lies f steps above a level has the variance f (1 - f) step^2, 1/6 step^2 where f is uniform, and the step
is scale / s, s = 2^(b-1) - 1, where the scale is the largest number of the mean's 512.  All this is known beforehand.
It holds where the floor is low beside the scale; for 2 bits the noise makes the scale grow, and the scale the noise.

With feedback only what the last messages left out is rounded, so that the errors shrink with the disagreement: it goes
on to the exact average, linearly, if the step is small enough for the code and the graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.theory._claims import Claim, Finding, Table
from netac.theory._compressed_runs import TARGETS, Scheme, WithCode, compressed
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRAPHS = (("ring", 8), ("ring", 25), ("complete", 8), ("exponential", 16), ("torus", 25))
WHOLE = Scheme("64 bits", {}, "all")
CHOCO = (
    Scheme("8 bits", {"quantisation": 8}, to_the_end=True), Scheme("4 bits", {"quantisation": 4}, to_the_end=True),
    Scheme("2 bits", {"quantisation": 2}), Scheme("1 bit", {"quantisation": 1}), Scheme("signs", {"sign": True}),
    Scheme("top-k 10 %", {"top-k": 0.1}), Scheme("top-k 1 %", {"top-k": 0.01}),
    Scheme("random-k 10 %", {"random-k": 0.1}), Scheme("random-k 1 %", {"random-k": 0.01}),
    Scheme("top-k 10 %, step 0.2", {"top-k": {"fraction": 0.1, "step": 0.2}}),
    Scheme("top-k 10 %, step 0.3", {"top-k": {"fraction": 0.1, "step": 0.3}}))
ERROR = Scheme("8 bits, error feedback", {"quantisation": {"bits": 8, "feedback": "error"}}, "error", True)
PLAIN = (*(Scheme(f"{bits} bits, plain", {"quantisation": {"bits": bits, "feedback": "none"}}, "none")
           for bits in (8, 4, 2)),
         Scheme("signs, plain", {"sign": {"feedback": "none"}}, "none"),
         Scheme("top-k 10 %, plain", {"top-k": {"fraction": 0.1, "feedback": "none"}}, "none"))
SLOWEST = ("1 bit", "top-k 1 %", "random-k 1 %")
DRAWN = ("64 bits", "8 bits", "4 bits", "2 bits", "signs", "top-k 10 %", "top-k 10 %, step 0.2", "random-k 10 %")
KOLOSKOVA = "Koloskova et al., 2019"


def experiment(lab: Lab) -> Finding:
    """Five graphs, 1,000 numbers an agent, up to 4,000 rounds.

    The quick form has two graphs, 200 numbers, up to 250 rounds, and leaves out the schemes that are slowest.
    """
    graphs, width, rounds = lab.choose((("ring", 8), ("complete", 8)), GRAPHS), *lab.choose((200, 250), (1000, 4000))
    schemes = [scheme for scheme in (WHOLE, *CHOCO, ERROR, *PLAIN) if not lab.quick or scheme.name not in SLOWEST]
    done: list[WithCode] = lab.each(partial(compressed, width=width, rounds=rounds, seed=lab.seed), [
        (graph, scheme) for graph in graphs for scheme in schemes], "schemes")
    table = Table("bits", f"{width:,} numbers an agent, up to {rounds:,} rounds: rounds, and bits that an agent sends, "
                  "until the disagreement is 1e-3 and 1e-6 of the first", [_row(each) for each in done])
    floors = Table("floors", "Plain quantisation: root mean square of the disagreement over the first, measured and "
                   "predicted", [{"graph": each.graph, "n": each.n, "scheme": each.scheme.name,
                                  "measured": each.settled, "predicted": each.floor}
                                 for each in done if each.floor is not None])
    return Finding(_claims(done), (table, floors), partial(draw, done))


def _claims(done: list[WithCode]) -> list[Claim]:
    straight = [each for each in done if each.scheme.to_the_end]
    named = f"8 and 4 bits with CHOCO, 8 with error feedback, on {_graphs(done)}"
    floors = [each.settled / each.floor for each in done if each.floor and each.scheme.name != "2 bits, plain"]
    sparse = [each for each in done if each.graph != "complete"]
    eight = [_rounds(each) / _rounds(whole) for each, whole in _against(sparse, "8 bits", "64 bits")]
    four = [_price(each) / _price(whole) for each, whole in _against(sparse, "4 bits", "64 bits")]
    on_complete = [_price(each) / _price(whole) for each, whole in _against(done, "4 bits", "64 bits")
                   if each.graph == "complete"]
    top = [(each.bits(each.foretold) or np.inf) / _price(whole)
           for each, whole in _against(done, "top-k 10 %", "64 bits")]
    wide = [each.factor for each in done if each.scheme.name == "top-k 10 %, step 0.3"]
    return [
        Claim("feedback: disagreement falls linearly, from 1e-1 to 1e-11", KOLOSKOVA,
              f"least R^2 of a line through its logarithm; {named}", min(each.straightness for each in straight), ">=",
              0.98),
        Claim("feedback: it ends on the exact average", KOLOSKOVA, "largest distance of a value from it",
              max(each.error for each in straight), "<=", 0.0, 1e-10),
        Claim("every scheme keeps the mean", "symmetric W", "largest drift over the largest number",
              max(each.drift for each in done), "<=", 0.0, 1e-12),
        Claim("plain quantisation of 4 and 8 bits stops at the floor", "sum over the modes of W",
              f"largest of measured / predicted and its inverse over {len(floors)}",
              max(max(ratio, 1.0 / ratio) for ratio in floors), "<=", 1.1),
        Claim("and of 2 bits, too", "the same, read too far", "least of measured / predicted",
              min(each.settled / each.floor for each in done if each.floor and each.scheme.name == "2 bits, plain"),
              ">=", 2.0, refuted=True),
        Claim("plain signs and plain top-k stop far from the average", "Koloskova et al., 2019",
              "least disagreement that is left", min(
                  each.settled for each in done if each.scheme.kind == "none" and each.floor is None), ">=", 0.05),
        Claim("the column compressed_bits is messages x bits of a message", "netac", "largest difference",
              max(each.miscounted for each in done), "<=", 0.0),
        Claim("8 bits with CHOCO take as many rounds as 64 bits, on graphs that are not complete", "measured",
              f"largest ratio over {_graphs(sparse)}", max(eight), "<=", 1.05),
        Claim("4 bits with CHOCO take fewer bits to 1e-6 than 64, on graphs that are not complete", "measured",
              f"largest ratio over {_graphs(sparse)}", max(four), "<=", 0.25),
        Claim("and on every graph", "the same, read too far", "ratio on the complete graph, where one round of all "
              "bits averages exactly", max(on_complete), ">=", 1.0, refuted=True),
        Claim("to send 10 % of the values, with CHOCO's default step, saves bits", "a common belief",
              "least ratio of the bits to 1e-6 to those of 64, by its factor where it was not reached", min(top), ">=",
              1.0, refuted=True),
        Claim("a step that suits one graph suits another: 0.3 for top-k of 10 %", "a common belief",
              "largest factor of a round", max(wide), ">=", 1.001, refuted=True)]


def _against(done: Iterable[WithCode], name: str, other: str) -> list[tuple[WithCode, WithCode]]:
    """The runs of two schemes on the same graphs."""
    found = {(each.graph, each.n, each.scheme.name): each for each in done}
    return [(each, found[graph, n, other]) for (graph, n, scheme), each in found.items() if scheme == name]


def _rounds(each: WithCode) -> float:
    """Rounds to 1e-6; those that were done, which are too few, where it was not reached."""
    found = each.rounds_to(TARGETS[-1])
    return each.rounds if found is None else found


def _price(each: WithCode) -> float:
    """Bits of an agent to 1e-6; at least, where it was not reached."""
    return _rounds(each) * each.degree * each.message


def _row(each: WithCode) -> dict[str, Any]:
    reached = [each.rounds_to(target) for target in TARGETS]
    foretold = each.foretold
    return {"graph": each.graph, "n": each.n, "scheme": each.scheme.name, "message": each.message,
            "rounds_1e-3": reached[0], "bits_1e-3": each.bits(reached[0]), "rounds_1e-6": reached[1],
            "bits_1e-6": each.bits(reached[1]), "factor": each.factor,
            "rounds_1e-6_by_factor": None if foretold is None else round(foretold),
            "left": float(each.disagreement[-1])}


def _graphs(done: Iterable[WithCode]) -> str:
    return ", ".join(dict.fromkeys(f"{each.graph} {each.n}" for each in done))


def draw(done: list[WithCode]) -> Figure:
    """Disagreement by bits on two graphs, and what 1e-6 costs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 5.4), layout="constrained")
    panels = figure.subplots(1, 3, width_ratios=(1.0, 1.0, 0.9))
    graphs = list(dict.fromkeys((each.graph, each.n) for each in done))
    for panel, graph in zip(panels, (graphs[0], graphs[min(3, len(graphs) - 1)]), strict=False):
        _courses(panel, [each for each in done if (each.graph, each.n) == graph])
    panels[0].legend(fontsize=8, loc="lower left")
    _prices(panels[2], done)
    return figure


def _courses(panel: Axes, done: list[WithCode]) -> None:
    from netac.utils.pictures import PALETTE

    colours = dict(zip(DRAWN, PALETTE, strict=True))
    for each in done:
        name, plain = each.scheme.name.removesuffix(", plain"), each.scheme.kind == "none"
        if name not in colours or each.scheme.kind == "error":
            continue
        rounds = np.unique(np.geomspace(1, each.rounds, 400).astype(int))
        panel.loglog(rounds * each.degree * each.message, each.disagreement[rounds], ":" if plain else "-",
                     color=colours[name], lw=1.5, label=None if plain else name)
        if each.floor and name != "2 bits":
            panel.axhline(each.floor, color=colours[name], lw=0.6)
    panel.set(xlabel="bits that an agent has sent", ylabel="disagreement / the first", ylim=(1e-7, 3.0),
              title=f"{done[0].graph} {done[0].n}; dotted: plain; thin: predicted floors")


def _prices(panel: Axes, done: list[WithCode]) -> None:
    from netac.utils.pictures import PALETTE

    names = [name for name in dict.fromkeys(each.scheme.name for each in done) if any(
        each.rounds_to(TARGETS[-1]) for each in done if each.scheme.name == name)]
    graphs = dict.fromkeys((each.graph, each.n) for each in done)
    for graph, colour in zip(graphs, PALETTE, strict=False):
        of = [each for each in done if (each.graph, each.n) == graph and each.rounds_to(TARGETS[-1])]
        panel.semilogx([_price(each) for each in of], [-names.index(each.scheme.name) for each in of], "o", ms=5,
                       color=colour, label=f"{graph[0]} {graph[1]}")
    panel.set(yticks=[-place for place in range(len(names))], xlabel="bits that an agent sends",
              title="the price of a disagreement of 1e-6")
    panel.set_yticklabels(names, fontsize=8)
    panel.legend(fontsize=8)
