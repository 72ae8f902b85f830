"""Averaging over unreliable networks: what netac's network does, beside what is predicted (`unreliable_consensus`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import expm

from netac.comm.network import Network
from netac.theory import _moments as exact
from netac.theory._condition_networks import copies, network_of, off_mean
from netac.topology import load
from netac.topology.lossy import lossy as certify

Spec = dict[str, Any]
DOWN, NEAR, FAR = 1e-4, 1e-2, 1e-8  # mean squares are followed to this part of the first: losses, events, random delays
LONGEST = 300               # rounds, at most
SETTLED = 1e-13             # what is left of a disagreement that is gone
PATIENCE = 25_000           # rounds until it must be
SLOPE = 1e-8                # from where on the slope towards a limit is fitted
TARGET = 1e-6               # of the first disagreement: what numbers of rounds are for
WORST_ROUNDS = 8            # first rounds of the worst start
SLOW = 10.0                 # by which a straggler is slower


@dataclass(frozen=True)
class Size:
    """How much is repeated.

    Attributes:
        copies: of a graph in one network: independent repetitions.
        width: numbers an agent holds: repetitions with the same losses.
    """

    copies: int
    width: int


@dataclass(frozen=True)
class Course:
    """Mean squares of the disagreement by rounds (or seconds), over that at the start: (T + 1,) each.

    Attributes:
        measured, predicted: `predicted` may be empty.
        error: relative standard errors of `measured`.
    """

    measured: np.ndarray
    predicted: np.ndarray
    error: np.ndarray

    @property
    def off(self) -> float:
        """The largest relative deviation."""
        return float(np.abs(self.measured / self.predicted - 1.0).max())

    def rate(self, of: np.ndarray) -> float:
        """The factor of a round over the second half."""
        half = len(of) // 2
        return float((of[-1] / of[half]) ** (1.0 / (len(of) - 1 - half)))


@dataclass(frozen=True)
class WithLosses:
    """One graph of n agents with losses: see `lossy`."""

    label: str
    n: int
    p: float
    both_ways: bool
    course: Course
    factor: float               # the exact mean-square factor of a round in the long run
    worst: tuple[float, float]  # that of one round of the worst start: predicted, measured
    moved: float                # the largest move of a mean, over the largest number
    drift: tuple[float, float, float]      # variance of the means' drift: measured, predicted, bound
    certified: tuple[float, float]         # what `netac graph` says: the exact factor and the variance once more


def lossy(item: tuple[Spec, int, float, bool], size: Size, seed: int) -> WithLosses:
    """Random values of independent copies, of which messages are lost."""
    spec, n, p, both_ways = item
    topology = load(spec, n)
    exactly = exact.Losses(topology.matrix(0).toarray(), p, both_ways)
    predicted = exact.course(exactly.moments, np.eye(n), LONGEST, DOWN)
    network = network_of({"loss": {"probability": p, "both_ways": both_ways}}, copies(topology, size.copies), seed)[0]
    x = start = _start(size, n, seed)
    squares, scale, moved = [_squares(x)], np.abs(x).max(), 0.0
    means = start.mean(axis=1)
    for t in range(len(predicted) - 1):
        x = _mixed(network, t, x)
        squares.append(_squares(x))
        moved = max(moved, float(np.abs(x.mean(axis=1) - means).max() / scale))
    matrix = exact.as_matrix(exactly.moments, n)
    Y = exact.upper(exact.centred(np.eye(n)))
    drift = exact.form(exactly.drift) @ np.linalg.solve(np.eye(len(matrix)) - matrix, Y)
    factor, direction = exactly.worst
    told = certify([topology.matrix(0)], p, both_ways)
    assert told.rate is not None and told.drift is not None, "of a graph that does not change, of few agents"
    return WithLosses(_label(spec), n, p, both_ways, _course(squares, predicted), exact.radius(matrix),
                 (factor, _of_worst(network, direction, size.copies)), moved,
                 (float(np.square(x.mean(axis=1) - means).mean()), float(drift), exactly.drift_bound(n - 1.0)),
                      (told.rate[1], (n - 1.0) * told.drift[0]))


def _of_worst(network: Network, direction: np.ndarray, number: int) -> float:
    """By what one round shrinks ||x - mean x||^2 of x = `direction` on average, over copies and rounds."""
    x = np.tile(direction[:, None], (number, 1, 1))
    found = [_squares(_mixed(network, LONGEST + t, x)).mean() for t in range(WORST_ROUNDS)]
    return float(np.mean(found) / np.square(direction).sum())


@dataclass(frozen=True)
class Summed:
    """Push-sum over links that lose messages: see `summed`."""

    label: str
    n: int
    p: float
    rounds: int                 # until the largest distance from the true mean was a millionth of the first
    error: float                # the largest distance in the end
    mass: float                 # the largest change of the sums of x and w, over N and the largest number


def summed(item: tuple[Spec, int, float], width: int, seed: int) -> Summed:
    """Random values averaged by push-sum until they have settled."""
    spec, n, p = item
    network, _ = network_of({"loss": {"probability": p, "both_ways": False}, "push-sum": True}, load(spec, n), seed)
    x = start = _start(Size(1, width), n, seed)
    mean, distances, mass = start.mean(axis=1, keepdims=True), [np.abs(off_mean(start)).max()], 0.0
    total = np.append(start.sum(axis=(0, 1)), n)
    for t in range(PATIENCE):
        x = _mixed(network, t, x)
        distances.append(np.abs(x - mean).max())
        mass = max(mass, float(np.abs(_mass(network) - total).max() / (n * np.abs(start).max())))
        if distances[-1] <= SETTLED * distances[0]:
            break
    return Summed(_label(spec), n, p, _first(np.array(distances) <= TARGET * distances[0]), float(distances[-1]), mass)


def _mass(network: Network) -> np.ndarray:
    """(width + 1,) the sum of all (x, w): what agents hold, and what is under way, sigma_j - rho_ij of every link."""
    rows = {name.partition("_push-sum_")[2]: of for name, of in network.rows.items()}
    held, speakers = rows["held_x"], rows["speakers-of_heard_x"]
    heard = rows["links-of_heard_x"].reshape(*speakers.shape, -1)
    under_way = np.where(speakers[:, :, None] >= 0, rows["given_x"][speakers] - heard, 0.0)
    return held.sum(axis=0) + under_way.sum(axis=(0, 1))


@dataclass(frozen=True)
class Late:
    """A fixed delay: see `late`."""

    label: str
    n: int
    d: int
    factor: tuple[float, float]         # of a round in the long run: predicted, measured
    off: float                          # the largest distance from the plain recursion, over the largest number
    limit: float                        # the largest distance of the end from the predicted limit, likewise
    shift: float                        # the largest distance of the limit from the mean, over the numbers' deviation
    distance: np.ndarray                # the largest ||x(s) - limit||, s >= t, over the first: it may swing


def late(item: tuple[Spec, int, int], width: int, seed: int) -> Late:
    """Random values, messages d rounds late, until they have settled; the recursion and its augmented matrix."""
    spec, n, d = item
    topology = load(spec, n)
    W = topology.matrix(0).toarray()
    network, _ = network_of({"delay": d}, topology, seed)
    x = start = _start(Size(1, width), n, seed)
    limit = exact.limit_of_delay(W, d) @ start[0]
    scale, distance, past, off = np.abs(start).max(), [np.linalg.norm(start - limit)], [start[0]] * (d + 1), 0.0
    own = np.diag(W)[:, None]
    for t in range(PATIENCE):
        x = _mixed(network, t, x)
        past = [own * past[0] + (W @ past[d] - own * past[d]), *past[:d]] if t >= d else past
        off = max(off, float(np.abs(x[0] - past[0]).max() / scale))
        distance.append(np.linalg.norm(x - limit))
        if distance[-1] <= SETTLED * distance[0]:
            break
    course = np.maximum.accumulate(np.array(distance)[::-1])[::-1] / distance[0]
    ages = np.eye(d + 1)[d]
    return Late(_label(spec), n, d, (exact.settling(exact.delayed(W, ages), n), _slope(course)), off,
                float(np.abs(x - limit).max() / scale), float(np.abs(limit - start[0].mean(axis=0)).max()), course)


@dataclass(frozen=True)
class LateAtRandom:
    """Delays drawn from 0, ..., most for every message: see `late_at_random`."""

    label: str
    n: int
    most: int
    course: Course
    factor: float | None                # the exact mean-square factor of a round in the long run; most = 1
    between: tuple[float, float, float]     # factors of the mean square: without delay, with mean ages, all of `most`


def late_at_random(item: tuple[Spec, int, int], size: Size, seed: int) -> LateAtRandom:
    """Random values of independent copies, each message late by a number of rounds of its own."""
    spec, n, most = item
    topology = load(spec, n)
    W = topology.matrix(0).toarray()
    plain, typical, longest = (exact.settling(exact.delayed(W, ages), n) ** 2 for ages in (
        np.ones(1), exact.ages_of(most), np.eye(most + 1)[most]))
    rounds = min(LONGEST, int(np.log(FAR) / np.log(typical)) + most)
    network, _ = network_of({"delay": {"most": most}}, copies(topology, size.copies), seed)
    x = _start(size, n, seed)
    squares = [_squares(x)]
    for t in range(rounds):
        x = _mixed(network, t, x)
        squares.append(_squares(x))
    predicted, factor = np.empty(0), None
    if most == 1:
        predicted, factor = _late_or_not(W, rounds)
    return LateAtRandom(_label(spec), n, most, _course(squares, predicted), factor, (plain, typical, longest))


def _late_or_not(W: np.ndarray, rounds: int) -> tuple[np.ndarray, float]:
    """E ||x(t) - mean x(t)||^2 of x(0) of covariance I, and its factor of a round in the long run.

    In round 0 what is late has nothing before it: the receivers' own values stand for it.
    """
    n = len(W)
    first = exact.Losses(W, 0.5, False)
    Z = np.block([[first.moments(np.eye(n)), first.mean], [first.mean.T, np.eye(n)]])
    moments, found = exact.late_or_not(W), [float(n - 1)]
    for _ in range(rounds):
        found.append(float(np.trace(exact.centred(Z[:n, :n]))))
        Z = moments(Z)
    return np.array(found), exact.radius(exact.as_matrix(moments, 2 * n))


@dataclass(frozen=True)
class WithClocks:
    """Agents that act at times of their own: see `asynchronous`."""

    label: str
    n: int
    straggler: bool
    course: Course
    per_event: tuple[float, float]      # factor of the mean square in the long run: predicted, measured
    per_second: float                   # the predicted one of a mean work of an agent that is not slow
    drift: tuple[float, float]          # variance of the drift of pi' x: measured over predicted, and its s.e.
    from_mean: float                    # mean square of (limit - mean), over that of (limit - pi' x)
    kept: float                         # share of the copies in which all had acted


def asynchronous(item: tuple[Spec, int, bool], size: Size, seed: int) -> WithClocks:
    """Random values of independent copies, exponential clocks, no latency; agent 0 may be slow.

    Before an agent's first event the others do not hear it; so the comparison begins when all have acted, from what the
    agents then hold, in the copies in which they have by then, each column over its disagreement.  No clock remembers
    when it struck last: what comes is as if it began there.
    """
    spec, n, straggler = item
    topology = load(spec, n)
    slow = np.where(straggler & (np.arange(n) == 0), SLOW, 1.0)
    exactly = exact.OneActs(topology.matrix(0).toarray(), 1.0 / slow / (1.0 / slow).sum())
    events = float((1.0 / slow).sum())                                          # of a copy in a second
    clock = {"schedule": "asynchronous", "compute": 1.0, "period": 1.0, "jitter": 1.0, "distribution": "exponential",
             "factor": SLOW, "stragglers": [n * k for k in range(size.copies)] if straggler else []}
    network, ledger = network_of({"clock": clock}, copies(topology, size.copies), seed)
    x, begin = _start(size, n, seed), 20 if straggler else 5
    for t in range(begin):
        x = _mixed(network, t, x)
    acted = (ledger.consensus_messages.reshape(size.copies, n) > 0).all(axis=1)
    unit = np.linalg.norm(off_mean(x[acted]), axis=1, keepdims=True)
    first = last = x[acted] / unit
    matrix, trace = exact.as_matrix(exactly.moments, n), exact.form(np.eye(n))
    Y = exact.upper(np.einsum("cid,cjd->ij", off_mean(first), off_mean(first)) / len(first) / size.width)
    second, moment, predicted, squares = expm(events * (matrix - np.eye(len(matrix)))), Y, [1.0], [_squares(first)]
    while predicted[-1] > NEAR and len(predicted) < LONGEST:
        x = _mixed(network, begin + len(predicted) - 1, x)
        last, moment = x[acted] / unit, second @ moment
        squares.append(_squares(last))
        predicted.append(float(trace @ moment))
    course, pi, factor = _course(squares, np.array(predicted)), exactly.limit, exact.radius(matrix)
    ends = np.einsum("i,cid->cd", pi, last)                             # what the limit is, as nearly as is known
    drifts = np.square(ends - np.einsum("i,cid->cd", pi, first)).mean(axis=1)
    variance = exact.form(exactly.drift) @ np.linalg.solve(np.eye(len(matrix)) - matrix, Y - moment)
    return WithClocks(_label(spec), n, straggler, course,
                        (factor, float(1.0 + np.log(course.rate(course.measured)) / events)),
                        float(np.exp(events * (factor - 1.0))),
                        (float(drifts.mean() / variance), float(drifts.std() / np.sqrt(len(drifts)) / variance)),
                        float(np.square(ends - first.mean(axis=1)).mean() / drifts.mean()), float(acted.mean()))


def _start(size: Size, n: int, seed: int) -> np.ndarray:
    """(copies, n, width) independent normal numbers."""
    return np.random.default_rng([seed, n]).normal(size=(size.copies, n, size.width))


def _mixed(network: Network, t: int, x: np.ndarray) -> np.ndarray:
    """One round, of copies side by side."""
    return network.mix(t, np.ascontiguousarray(x).reshape(-1, x.shape[2])).reshape(x.shape).copy()


def _squares(x: np.ndarray) -> np.ndarray:
    """(copies,) ||x - mean x||^2, mean over the columns."""
    return np.square(off_mean(x)).sum(axis=1).mean(axis=1)


def _course(squares: list[np.ndarray], predicted: np.ndarray) -> Course:
    """From the copies' squares by rounds; measured and predicted over what was predicted (or measured) at first."""
    found = np.array(squares)
    mean = found.mean(axis=1)
    first = predicted[0] if len(predicted) else mean[0]
    error = found.std(axis=1) / np.sqrt(found.shape[1]) / mean
    return Course(mean / first, predicted / first, error)


def _slope(course: np.ndarray) -> float:
    """The factor of a round by least squares of the logarithm, over what lies between `SLOPE` and the end.

    NaN if it never gets there.
    """
    late = np.flatnonzero(course <= SLOPE)
    if len(late) < 2:
        return float("nan")
    return float(np.exp(np.polyfit(late, np.log(course[late]), 1)[0]))


def _first(which: np.ndarray) -> int:
    """The first place where it holds; else the last place."""
    return int(which.argmax()) if which.any() else len(which) - 1


def _label(spec: Spec) -> str:
    """The topology's name, and its weights' where the rule is not the default."""
    return " ".join(str(spec[key]) for key in ("name", "weights") if key in spec)


