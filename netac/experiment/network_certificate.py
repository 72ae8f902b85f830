"""What `netac graph` tells of an experiment's network with its conditions: predicted where that can be, else measured.

Under `loss` alone, or beside a clock, the expected weights, the mean square rate and the drift are computed
(`netac.topology.lossy`), against liars the robustness of the graph (`netac.topology.robustness`). Under any conditions
random numbers, as many as an agent of the experiment mixes, are mixed as a run would mix them, without anything being
learned, until their disagreement is 1e-6 of that at the start: the rounds that takes, and the simulated seconds.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from netac.comm.conditions._robust import RobustMixing, not_borne
from netac.comm.conditions.adversaries import Adversaries
from netac.comm.conditions.loss import Loss
from netac.comm.exchange import SECONDS, Condition
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.experiment.build import prepare
from netac.experiment.schema import Experiment
from netac.topology import Topology
from netac.topology.lossy import lossy
from netac.topology.robustness import robustness

TARGET, ROUNDING = 1e-6, 1e-12
LONGEST = 1000                   # iterations whose matrices are looked at, of a period or of a sequence without one
NUMBERS = 2_000_000              # that are mixed, of all agents together
ROUNDS, PATIENCE = 20_000, 10.0  # rounds and seconds of mixing, at most

Rows = list[tuple[str, str]]


def under_conditions(experiment: Experiment, topology: Topology, folder: Path | None = None) -> Rows:
    """(what, value) for printing.

    Args:
        experiment: as its file says.
        topology: its, loaded, for as many agents as are asked for.
        folder: where its relative paths start.

    Raises:
        InputError: the conditions cannot be made, or do not go together.
    """
    conditions = experiment.network.make(topology, experiment.iterations)
    found: Rows = []
    of_mixing = [condition for condition in conditions if condition.columns != (SECONDS,)]
    for condition in of_mixing:
        if isinstance(condition, Loss) and len(of_mixing) == 1:        # else more happens than it foretells
            found += _of_loss(condition, topology)
    found += _of_liars(conditions, topology, experiment)
    return found + _mixed(experiment, topology, folder, conditions)


def _of_loss(loss: Loss, topology: Topology) -> Rows:
    """What is expected of weights whose messages get lost."""
    period = topology.period
    periodic = period is not None and period <= LONGEST
    matrices = [topology.matrix(t) for t in range(period if periodic and period else 100)]
    known = lossy(matrices, loss.probability, loss.both_ways, periodic)
    found: Rows = []
    if known.gap is not None:
        found.append(("expected weights: spectral gap" + " of a period" * (period != 1), f"{known.gap:.6g}"))
    if known.rate is not None:
        found.append(("mean square factor of a round", _between(*(r ** (1.0 / len(matrices)) for r in known.rate))))
    first, last = known.rounds
    stays = known.rate is not None and known.rate[0] > 1.0 - ROUNDING
    found.append((f"rounds to a root mean square of {TARGET:g}", "never" if stays else str(first) if first == last else
                  f"at least {first}" + (f", at most {last}" if last is not None else "")))
    drift = known.drift
    found.append(("drift of the mean (variance)", "not computed" if drift is None else
                  "0" if drift == (0.0, 0.0) else f"{drift[0]:.3g} on average, {drift[1]:.3g} at worst"))
    return found


def _of_liars(conditions: list[Condition], topology: Topology, experiment: Experiment) -> Rows:
    """Whether the way of mixing bears the liars."""
    mixing = next((each for each in conditions if isinstance(each, RobustMixing)), None)
    liars = _liars(conditions)
    if mixing is None and not liars:
        return []
    found: Rows = [("robustness of the first graph", robustness(topology.matrix(0)).in_words())]
    if mixing is not None:
        fault = not_borne(mixing, conditions, topology, liars, experiment.iterations)
        found.append((f"{mixing.name} bears {len(liars)} liar{'s' * (len(liars) != 1)}",
                      "yes" if fault is None else f"no: {fault}"))
    return found


def _liars(conditions: list[Condition]) -> frozenset[int]:
    """Who lies."""
    lying = next((each for each in conditions if isinstance(each, Adversaries)), None)
    return lying.liars if lying is not None else frozenset()


def _mixed(experiment: Experiment, topology: Topology, folder: Path | None, conditions: list[Condition]) -> Rows:
    """The rounds that mixing alone takes."""
    N = topology.agents
    asked = experiment.model_copy(update={"agents": N})
    layout = prepare(asked, folder).layout
    wanted = sum(columns.stop - columns.start for part, columns in layout.columns.items()
                 if part in ("omega", "lam", "shared") and part in layout.mixed) or 1
    width = max(1, min(wanted, NUMBERS // N))
    network = Network(topology.matrix, Placement(N), Ledger(N), None, conditions, experiment.seed)
    rng = np.random.default_rng(experiment.seed)
    x = rng.standard_normal((N, width)).astype(layout.dtype)
    honest = np.setdiff1d(np.arange(N), sorted(_liars(conditions)))
    first = before = _disagreement(x[honest])
    began, rounds = time.monotonic(), 0
    with np.errstate(over="ignore", invalid="ignore"):                 # of what liars drive to infinity
        while not before <= TARGET * first and rounds < ROUNDS and time.monotonic() - began < PATIENCE:
            x = network.mix(rounds, x)
            rounds, before = rounds + 1, _disagreement(x[honest])
    told = network.told() or {}
    done, whose = before <= TARGET * first, "honest agents at " * (len(honest) < N)
    numbers = f"{width:,} random numbers an agent" + (f" (of {wanted:,} that it mixes)" if width < wanted else "")
    found: Rows = [("mixing alone", numbers),
                   (f"rounds to {whose}{TARGET:g}, measured", f"{rounds}" if done else
                    f"more than {rounds} ({before / first:.2g} is left)")]
    if SECONDS in told:
        seconds = float(told[SECONDS].max())
        found.append(("simulated seconds for them", f"{seconds:.6g}"))
    return found


def _disagreement(x: np.ndarray) -> float:
    """||x - mean x||."""
    return float(np.linalg.norm(x - x.mean(axis=0)))


def _between(low: float, high: float) -> str:
    return f"{high:.6g}" if high - low <= 1e-9 * high else f"between {low:.6g} and {high:.6g}"
