"""Pictures of a topology: its graphs side by side, and how fast disagreement shrinks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from netac.topology.certificate import LARGEST_SPECTRUM, Certificate
from netac.topology.edges import rows_of
from netac.topology.mixing import TARGET, Mixing, Product, mixing, worst_case
from netac.topology.push_sum import shares
from netac.topology.sequence import Topology
from netac.utils import memory
from netac.utils.pictures import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 6
MOST_DRAWN = 300
"""Agents up to which a graph is drawn and not just described."""
STARTS, FEWEST_STARTS = 32, 4
NUMBERS = 3_200_000
"""Random starts whose disagreement is drawn, as many as there may be numbers in all of them together."""
FLOOR, ROUNDED = 1e-16, 1e-12
"""What is drawn as nothing, and disagreement down to which rounding is not seen."""
MOST_WORK = 4e9
"""Agents cubed times the rounds for which the worst start's disagreement is computed; those are then spread out."""
INK, BLUE, ORANGE, PALE = "#33383f", "#2a6fbb", "#d9822b", "#9aa4b1"


def draw(topology: Topology, file: Path, steps: int | None = None, certificate: Certificate | None = None) -> None:
    """Draws the distinct graphs of the sequence and, below, the disagreement against rounds, into `file`.

    Args:
        topology: what to draw.
        file: where to; the suffix (.png, .pdf, .svg) says the format.
        steps: rounds of the curve, and iterations whose graphs are drawn where there is no period; by default as many
            rounds as it takes to come near 1e-6, at most 400.
        certificate: the topology's, if it is known: how fast it mixes is then not computed again.

    Raises:
        InputError: the suffix is no format.
        RunError: the file cannot be written.
    """
    save_figure(lambda: figure_of(topology, steps, certificate), file)


def figure_of(topology: Topology, steps: int | None = None, certificate: Certificate | None = None) -> Figure:
    """The figure of `draw`."""
    from matplotlib.figure import Figure
    panels = distinct_graphs(topology, steps)
    shown = panels[:MOST_PANELS]
    columns = max(3, len(shown))
    figure = Figure(figsize=(2.5 * columns, 6.2), layout="constrained", dpi=140)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.25])[:, 0]
    schedule = {None: "", 1: ", static"}.get(topology.period, f", period {topology.period}")
    left_out = f" (the first {len(shown)} of {len(panels)} different graphs)" if len(panels) > len(shown) else ""
    who = f"{topology.name}, {counted(topology.agents, 'agent')}, {topology.weights} weights"
    top.suptitle(who + schedule + left_out, color=INK, fontsize=12)
    for axes, (times, W) in zip(np.atleast_1d(top.subplots(1, len(shown))), shown, strict=True):
        _draw_graph(axes, W)
        every = f" (mod {topology.period})" if topology.period and topology.period > 1 else ""
        axes.set_title("every t" if topology.period == 1 else f"t = {ranges(times)}{every}", fontsize=10, color=INK)
    found = _mixing(topology, steps, certificate)
    reached = found.rounds if found else certificate and certificate.push_sum and certificate.push_sum.rounds
    _draw_disagreement(bottom.subplots(), topology, steps, found, reached or 100)
    return figure


def distinct_graphs(topology: Topology, steps: int | None) -> list[tuple[list[int], csr_array]]:
    """The different matrices of one period (without a period: of the first `steps` iterations, by default as many as
    there are panels), each with the iterations at which it is W_t."""
    matrices: list[csr_array] = []
    times: list[list[int]] = []
    for t in range(min(topology.period or steps or MOST_PANELS, 100)):
        W = topology.matrix(t, checked=False)
        at = next((k for k, known in enumerate(matrices) if known is W), len(matrices))
        if at == len(matrices):
            matrices.append(W)
            times.append([])
        times[at].append(t)
    return list(zip(times, matrices, strict=True))


def ranges(times: Sequence[int]) -> str:
    """Increasing integers in few words: [0, 1, 2, 5] is "0..2, 5"."""
    runs = itertools.groupby(enumerate(times), key=lambda pair: pair[1] - pair[0])
    words = [[t for _, t in run] for _, run in runs]
    text = [f"{run[0]}..{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in words]
    return ", ".join(text[:4]) + (", ..." if len(text) > 4 else "")


def counted(number: int, noun: str) -> str:
    """The number with its noun, in the plural where it is not 1."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def disagreement(topology: Topology, rounds: int) -> np.ndarray:
    """||x_t - mean(x_0)|| / ||x_0 - mean(x_0)|| for t = 0..rounds and standard normal starts, (rounds + 1, starts); of
    push-sum's ratios in the place of x_t where agents mix by it."""
    starts = int(np.clip(NUMBERS // topology.agents, FEWEST_STARTS, STARTS))
    x = np.random.default_rng(0).standard_normal((topology.agents, starts))
    mean = x.mean(axis=0)
    norms, w = [np.linalg.norm(x - mean, axis=0)], np.ones((topology.agents, 1))
    for t in range(rounds):
        W = topology.matrix(t, checked=False)
        if topology.push_sum:
            W = shares(W)
            w = W @ w
        x = W @ x
        norms.append(np.linalg.norm(x / w - mean, axis=0))
    return np.array(norms) / np.maximum(norms[0], np.finfo(float).tiny)


def _draw_graph(axes: Axes, W: csr_array) -> None:
    """The links of one W on a circle of agents, agent 0 on top; a link in one direction only has an arrow."""
    import networkx as nx
    n = W.shape[0]
    rows = rows_of(W)
    off = rows != W.indices
    hearer, heard = rows[off], W.indices[off]
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
    if n > MOST_DRAWN:
        axes.text(0, 0, f"{n:,} agents\n{len(hearer):,} messages", ha="center", va="center", color=INK)
        return
    links = set(zip(heard.tolist(), hearer.tolist(), strict=True))
    directed = any((v, u) not in links for u, v in links)
    graph = nx.DiGraph() if directed else nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(links)
    angle = np.pi / 2 - 2 * np.pi * np.arange(n) / n
    place = dict(enumerate(zip(np.cos(angle).tolist(), np.sin(angle).tolist(), strict=True)))
    size = float(np.clip(4000 / n, 12, 260))
    arrows = {"arrowsize": 9, "node_size": size, "connectionstyle": "arc3,rad=0.08"} if directed else {}
    nx.draw_networkx_edges(graph, place, ax=axes, edge_color=PALE, width=float(np.clip(20 / n, 0.4, 1.4)), **arrows)
    nx.draw_networkx_nodes(graph, place, ax=axes, node_size=size, node_color=BLUE, linewidths=0)
    if n <= 24:
        nx.draw_networkx_labels(graph, place, ax=axes, font_size=8, font_color="white")
    if not links:
        axes.text(0, 0, "no edges", ha="center", va="center", color=PALE)


def _draw_disagreement(axes: Axes, topology: Topology, steps: int | None, found: Mixing | None, reached: int) -> None:
    """Largest and mean disagreement over the random starts, that of the worst start, and its slope in the long run;
    `reached` is the round, about, up to which there is something to see."""
    whole_periods = 2 * (topology.period or 0)
    rounds = steps or min(400, max(10, whole_periods, round(1.15 * reached)))
    memory.refuse_number(f"{rounds:,} rounds of averaging", "--steps", rounds, lambda t: t * 4 * 8 * STARTS)
    curves = np.maximum(disagreement(topology, rounds), FLOOR)
    t = np.arange(rounds + 1)
    axes.semilogy(t, curves.max(axis=1), color=BLUE, linewidth=2, label=f"largest of {curves.shape[1]} random starts")
    axes.semilogy(t, curves.mean(axis=1), color=ORANGE, linewidth=2, label="mean over the starts")
    if found:
        _draw_guarantee(axes, topology, found, rounds)
    axes.set_xlim(0, rounds)
    axes.set_ylim(max(FLOOR / 3, min(curves.mean(axis=1).min() / 3, 1e-2)), 3)
    axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("rounds of averaging, t")
    axes.set_ylabel(r"$\|x_t - \bar{x}_0\|\;/\;\|x_0 - \bar{x}_0\|$")
    axes.grid(color="#e5e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="best")


def _mixing(topology: Topology, steps: int | None, certificate: Certificate | None) -> Mixing | None:
    """How fast disagreement shrinks, as far as one period (or 100 iterations) tells; None for too many agents, and for
    push-sum, which is no averaging."""
    if topology.agents > LARGEST_SPECTRUM or topology.push_sum:
        return None
    looked_at = topology.period or min(steps or 100, 100)
    if certificate and certificate.mixing and certificate.steps == looked_at:
        return certificate.mixing
    matrix = partial(topology.matrix, checked=False)
    return mixing(Product(topology.agents, map(matrix, range(looked_at))), matrix, topology.period is not None)


def _draw_guarantee(axes: Axes, topology: Topology, found: Mixing, rounds: int) -> None:
    """The disagreement of the worst start, ||W_{t-1} ... W_0 - J||_2, and the slope it has in the long run."""
    points = int(np.clip(MOST_WORK / topology.agents**3, 5, rounds + 1))
    at = np.unique(np.linspace(0, rounds, points).round().astype(int)).tolist()
    worst = np.maximum(worst_case(partial(topology.matrix, checked=False), topology.agents, at), FLOOR)
    reached = f": {TARGET:g} after {counted(found.rounds, 'round')}" if found.rounds is not None else ""
    axes.semilogy(at, worst, "--", color=INK, linewidth=1.2, label=f"worst start{reached}")
    period, radius = topology.period, found.radius
    if period and radius and radius < 1:
        last = int(np.flatnonzero(worst > ROUNDED)[-1])
        line = worst[last] * radius ** ((np.array([0, rounds]) - at[last]) / period)
        axes.semilogy([0, rounds], np.maximum(line, FLOOR), ":", color=INK, linewidth=1.2,
                      label=f"in the long run: times {radius:.4g} in {counted(period, 'round')}")
