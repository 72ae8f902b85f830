"""Constant-step CAC with and without gradient tracking: what agents' unlike rewards do to their critics and policies.

With step sizes that do not fall, each agent of CAC (Zeng et al., 2022, Algorithm 1) keeps more of its own reward in its
reward model than of others': an error in proportion to the step, the heterogeneity of rewards and 1 / gap, which
Theorem 3 lets vanish by steps that fall.  `tracking = true` steps along a tracker of all agents' mean direction, as
distributed gradient tracking does (Di Lorenzo and Scutari, 2016; Pu and Nedic, 2021).  The mean field is exact
(`_commons`), and netac's own runs are held against it, in a game in which an agent that prefers its own reward takes
from all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.theory._claims import Claim, Finding, Row, Table
from netac.theory._commons import (
    CommonsRecord,
    CommonsRun,
    critical_share,
    field_return,
    gap,
    largest_step,
    mixing,
    own_share,
    resolvent,
    resting_weights,
    seen,
    true_weights,
)
from netac.theory._lab import Lab

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AGENTS = 8
GRAPHS: Mapping[str, Any] = {
    **{f"lazy {name}": {"name": name, "weights": "lazy-metropolis"} for name in ("path", "ring", "hypercube")},
    "path": "path", "ring": "ring", "complete": "complete"}
WATCHED = ("lazy path", "lazy ring", "lazy hypercube", "complete")      # in these tracking is stable for all steps
STEPS, TAKING = (0.1, 0.4), (0.25, 1.0, 4.0)
GRID = tuple(np.geomspace(0.02, 0.8, 17))                               # steps of the mean field's curves
ALPHA, SMALL, EDGE = 0.2, 0.2, 0.05


def experiment(lab: Lab) -> Finding:
    """Runs of 10,000 iterations on four graphs (quick: 5,000 on two, with one step size)."""
    T, names = lab.choose(5_000, 10_000), lab.choose(WATCHED[1::2], WATCHED)
    fixed = [(name, 1.0, zeta) for name in names for zeta in lab.choose(STEPS[1:], STEPS)]
    moved = [*fixed, *(("lazy ring", h, STEPS[1]) for h in TAKING if h != 1.0 and not lab.quick)]
    runs = [CommonsRun(AGENTS, GRAPHS[name], h, float(zeta), tracking, T, lab.seed, alpha)
            for cases, alpha in ((fixed, 0.0), (moved, ALPHA)) for name, h, zeta in cases for tracking in (False, True)]
    done = lab.each(seen, runs)
    still, learning = done[:2 * len(fixed)], done[2 * len(fixed):]
    biases = [bias_row(*case, *still[2 * k:2 * k + 2]) for k, case in enumerate(fixed)]
    returns = [return_row(*case, T, *learning[2 * k:2 * k + 2]) for k, case in enumerate(moved)]
    curves = {name: [field_return(mixing(GRAPHS[name], AGENTS), 1.0, zeta, ALPHA * T) for zeta in GRID]
              for name in WATCHED}
    stable = [stable_row(name, mixing(spec, AGENTS)) for name, spec in GRAPHS.items()]
    tables = [
        Table("bias", f"Errors of the reward models at uniform policies, {AGENTS} agents, h = 1", biases),
        Table("return", "J of runs that learn, between -1/2 (all take) and 1/2 (none does)", returns),
        Table("curves", "J of the mean field without tracking, h = 1",
              [{"zeta": float(zeta), **{name: curve[k] for name, curve in curves.items()}}
               for k, zeta in enumerate(GRID)]),
        Table("stable", "Largest step of the reward model that is stable, where policies are deterministic", stable)]
    claims = [*bias_claims(lab, biases, still), *return_claims(returns), *stable_claims(stable)]
    return Finding(claims, tables, partial(draw, biases, returns, curves))


# --- reward models of policies that stand still ---

def bias_row(name: str, h: float, zeta: float, without: CommonsRecord, tracked: CommonsRecord) -> Row:
    """Root mean squares over agents, in units of the heterogeneity |c_i - mean c| / kappa of what they should learn."""
    W = mixing(GRAPHS[name], AGENTS)
    predicted = resting_weights(W, h, zeta, np.zeros(AGENTS))
    unlike = _apart(true_weights(AGENTS, h))
    return {"graph": name, "gap": gap(W), "zeta": zeta, "predicted": _apart(predicted) / unlike,
            "CAC": _apart(without.weights) / unlike, "tracking": _apart(tracked.weights) / unlike,
            "CAC, at a time": float(np.sqrt(without.square)) / unlike,
            "tracking, at a time": float(np.sqrt(tracked.square)) / unlike}


def _apart(weights: np.ndarray) -> float:
    """Root mean square over agents of the distance from their mean."""
    return float(np.sqrt(np.square(weights - weights.mean(axis=0)).sum(axis=1).mean()))


def bias_claims(lab: Lab, rows: Sequence[Row], found: Sequence[CommonsRecord]) -> list[Claim]:
    """What the models of agents that do not learn are like."""
    right = true_weights(AGENTS, 1.0).mean(axis=0)
    shares, slowest = [], []
    for spec in GRAPHS.values():
        W = mixing(spec, AGENTS)
        values, vectors = np.linalg.eigh(W)
        for pull in (0.01, 0.1, 1.0):
            bound = pull / (1.0 - values[-2] + pull)
            K = resolvent(W, pull)
            x = lab.rng(1).standard_normal((AGENTS, 20))
            x -= x.mean(axis=0)
            shares.append(float((np.linalg.norm(K @ x, axis=0) / np.linalg.norm(x, axis=0)).max()) / bound)
            slowest.append(float(np.linalg.norm(K @ vectors[:, -2])) / bound)
    return [
        Claim("with constant steps an agent's reward model is the mean of all agents' with weights K = zeta kappa "
              "(I - W + zeta kappa I)^-1", "netac", "largest |error of runs / predicted - 1|",
              max(abs(row["CAC"] / row["predicted"] - 1.0) for row in rows), "<=", 0.05),
        Claim("the mean over agents is right all the same, with tracking and without", "paper 003, equation 6b",
              "largest |mean of lambda - lambda*| / |lambda*|", max(
                  float(np.abs(each.weights.mean(axis=0) - right).max() / np.abs(right).max()) for each in found),
              "<=", 0.0, 1e-6),
        Claim("the error is at most zeta kappa / (gap + zeta kappa) of the rewards' heterogeneity", "netac",
              "largest share of the bound, graphs, steps and random rewards", max(*shares, *slowest), "<=", 1.0, 1e-9),
        Claim("... and is that where rewards differ along the graph's slowest mode", "netac",
              "least share of the bound", min(slowest), ">=", 1.0, 1e-9),
        Claim("tracking takes the error away", "Pu and Nedic, 2021", "largest error, tracking / without",
              max(row["tracking"] / row["CAC"] for row in rows), "<=", 0.25),
        Claim("... and makes agents more accurate at a time, too, where the gap is small", "netac",
              f"largest error at a time, tracking / without, gaps below {SMALL}",
              max(_at_a_time(row) for row in rows if row["gap"] < SMALL), "<=", 0.9),
        Claim("... but less where all hear all: it doubles the variance of the noise", "netac",
              "least squared error at a time, tracking / without, complete graph",
              min(_at_a_time(row)**2 for row in rows if row["graph"] == "complete"), ">=", 1.5)]


def _at_a_time(row: Row) -> float:
    return row["tracking, at a time"] / row["CAC, at a time"]


# --- runs that learn ---

def return_row(name: str, h: float, zeta: float, T: int, without: CommonsRecord, tracked: CommonsRecord) -> Row:
    """The own weight against the critical one, and J of the mean field and of runs."""
    W = mixing(GRAPHS[name], AGENTS)
    return {"graph": name, "h": h, "zeta": zeta, "largest own weight": float(own_share(W, zeta).max()),
            "critical": critical_share(AGENTS, h), "mean field": field_return(W, h, zeta, ALPHA * T), "CAC": without.J,
            "tracking": tracked.J}


def return_claims(rows: Sequence[Row]) -> list[Claim]:
    """Who takes; where the own weight is within `EDGE` of the critical one, the noise of samples decides."""
    over = [row["largest own weight"] / row["critical"] - 1.0 for row in rows]
    taking = [row for row, share in zip(rows, over, strict=True) if share > EDGE]
    others = [row for row, share in zip(rows, over, strict=True) if share < -EDGE]
    return [
        Claim("agents whose own weight K_ii is 5 % above (1 + h) / (1 + h N) take from all, if the step is constant",
              "netac", "largest J of CAC where some are", max((row["CAC"] for row in taking), default=np.nan), "<=",
              0.4),
        Claim("... and none does where all are 5 % below", "netac", "least J of CAC where none is",
              min((row["CAC"] for row in others), default=np.nan), ">=", 0.45),
        Claim("runs end where the mean field does", "netac", "largest |J of CAC - mean field|",
              max(abs(row["CAC"] - row["mean field"]) for row in (*taking, *others)), "<=", 0.1),
        Claim("with tracking no agent takes, on any graph", "netac", "least J with tracking",
              min(row["tracking"] for row in rows), ">=", 0.45)]


# --- steps ---

def stable_row(name: str, W: np.ndarray) -> Row:
    """Found by spectral radii, and the formulas."""
    least = float(np.linalg.eigvalsh(W)[0])
    return {"graph": name, "least eigenvalue w": least, "CAC": largest_step(W, False), "1 + w": 1.0 + least,
            "tracking": largest_step(W, True), "(1 + w)^2 / 2": (1.0 + least)**2 / 2.0}


def stable_claims(rows: Sequence[Row]) -> list[Claim]:
    """What tracking costs."""
    return [
        Claim("steps are stable up to 1 + w, w the least eigenvalue of W", "netac", "largest |found / formula - 1|",
              max(abs(row["CAC"] / row["1 + w"] - 1.0) for row in rows), "<=", 0.0, 1e-6),
        Claim("with tracking they are up to (1 + w)^2 / 2 alone", "netac", "largest |found / formula - 1|",
              max(abs(row["tracking"] / row["(1 + w)^2 / 2"] - 1.0) for row in rows), "<=", 0.0, 1e-6)]


# --- the picture ---

def draw(biases: Sequence[Row], returns: Sequence[Row], curves: Mapping[str, Sequence[float]]) -> Figure:
    """Errors against the gap; J against the step and against heterogeneity, with tracking and without."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for zeta, marker in zip(STEPS, "os", strict=True):
        ours = [row for row in biases if row["zeta"] == zeta]
        gaps = [row["gap"] for row in ours]
        left.loglog(gaps, [row["predicted"] for row in ours], "-", color=PALETTE[0], lw=1)
        for name, colour in (("CAC", PALETTE[0]), ("tracking", PALETTE[1])):
            left.loglog(gaps, [row[name] for row in ours], marker, color=colour, ms=5,
                        label=rf"{name}, $\zeta$ = {zeta:g}")
    left.set(xlabel="gap of the graph", ylabel="error / heterogeneity of the rewards",
             title="What agents' reward models are off (lines: predicted)")
    left.legend(fontsize=8, loc="center left", bbox_to_anchor=(0.0, 0.48))
    for (name, curve), colour in zip(curves.items(), PALETTE, strict=False):
        right.semilogx(GRID, curve, "-", color=colour, label=name)
        ours = [row for row in returns if row["graph"] == name and row["h"] == 1.0]
        zetas = [row["zeta"] for row in ours]
        right.semilogx(zetas, [row["CAC"] for row in ours], "o", color=colour)
        right.semilogx(zetas, [row["tracking"] for row in ours], "^", color=colour, mfc="none", ms=9)
    right.set(xlabel=r"constant step $\zeta$ of the reward model", ylabel="J",
              title="Return in a commons (dots: runs; triangles: with tracking)")
    right.set_xticks([0.02, 0.05, 0.1, 0.2, 0.4, 0.8], labels=["0.02", "0.05", "0.1", "0.2", "0.4", "0.8"])
    right.minorticks_off()
    right.legend(fontsize=8, loc="lower left")
    return figure
