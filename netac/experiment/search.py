"""Which settings `netac tune` tries: what keys may be, and the searches that draw from it.

A search is a generator of batches of settings that differ; it is sent their scores, in the same order, None for one
that failed.  Every batch is a function of the seed and of the scores sent before alone, so that a tuning that was
interrupted asks for the same settings again.
"""

from __future__ import annotations

import itertools
import math
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from netac.experiment import study
from netac.utils.errors import InputError
from netac.utils.streams import Purpose, Uniforms

Setting = dict[str, Any]                                                    # values by key, "algorithm" among them
Search = Generator[list[Setting], list[float | None], None]
DIGITS = 6             # that are kept of a number drawn from a range
BATCH = 8              # settings that Optuna gives before it is told of the last ones
TRIES = 200            # in which Optuna has to find a setting that was not tried yet
RANGE = re.compile(r"([^,/\[{]*)\.\.([^,/\[{]*)")
VALID = "KEY=LOW..HIGH or KEY=LOW..HIGH:log, LOW below HIGH, as algorithm.actor_step=0.001..0.5:log"


@dataclass(frozen=True)
class Span:
    """The numbers from `low` to `high`, whole ones if both are.

    Attributes:
        log: whether equal ratios are equally likely, in place of equal differences.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def values(self) -> Sequence[Any] | None:
        """All of them, where they can be counted."""
        return range(int(self.low), int(self.high) + 1) if self.whole else None

    @property
    def ends(self) -> list[Any]:
        """Those to try out before anything runs."""
        return [self.low, self.high]

    def at(self, u: float) -> Any:
        """The number at the share u of it, 0 <= u < 1."""
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        found = math.exp(math.log(low) + u * math.log(high / low)) if self.log else low + u * (high - low)
        if self.whole:
            return min(max(math.floor(found), self.low), self.high)
        return min(max(float(f"{found:.{DIGITS}g}"), float(self.low)), float(self.high))

    def __str__(self) -> str:
        return f"{self.low}..{self.high}" + ":log" * self.log


@dataclass(frozen=True)
class Listed:
    """Some values."""

    values: tuple[Any, ...]

    @property
    def ends(self) -> list[Any]:
        """Those to try out before anything runs."""
        return list(self.values)

    def at(self, u: float) -> Any:
        """The value at the share u of them, 0 <= u < 1."""
        return self.values[int(u * len(self.values))]

    def __str__(self) -> str:
        return ",".join(map(study.text_of, self.values))


Axes = Mapping[str, Span | Listed]


def parse_vary(text: str) -> tuple[str, Any]:
    """'KEY=V1,V2' or 'KEY=LOW..HIGH' of --vary: the key, and a list of values, or the text of a range."""
    key, _, values = text.partition("=")
    return (key.strip(), values.strip()) if key.strip() and RANGE.fullmatch(values.strip()) else study.parse_vary(text)


def axes_of(vary: Mapping[str, Any]) -> Axes:
    """What each key may be: lists of values, or ranges as text, "0.001..0.5:log".

    Raises:
        InputError: nothing varies, a range is none, or a key has no values, or one twice, or cannot vary.
    """
    found: dict[str, Span | Listed] = {}
    for name, values in vary.items():
        if isinstance(values, str):
            key = study.ALGORITHM if name == f"{study.ALGORITHM}.name" else name
            study.refuse_fixed(key, "--vary")
            made: dict[str, Span | Listed] = {key: _span(key, values)}
        else:
            made = {key: Listed(tuple(kept)) for key, kept in study.axes_of({name: values}, "--vary")}
        if twice := found.keys() & made.keys():
            raise InputError("is there twice", key="--vary", found=twice.pop(), valid="every key once")
        found |= made
    if not found:
        raise InputError("there is nothing to tune", key="--vary", valid=f"KEY=VALUE,VALUE,..., {VALID}")
    return found


def _span(key: str, text: str) -> Span:
    """The range that a text says.

    Raises:
        InputError: it says none.
    """
    where, (told, _, scale) = f"--vary: {key}", text.strip().partition(":")
    parts = told.split("..")
    if len(parts) != 2 or scale not in ("", "log"):
        raise InputError("is no range", key=where, found=text, valid=VALID)
    numbers = [_number(part) for part in parts]
    if None in numbers:
        raise InputError("a range is one of numbers", key=where, found=text,
                         valid=f"{VALID}; values apart by commas for anything else")
    low, high = (number for number in numbers if number is not None)
    if not low < high:
        raise InputError("a range goes from a number to a larger one", key=where, found=text, valid=VALID)
    if scale and low <= 0:
        raise InputError("a logarithmic range is one of positive numbers", key=where, found=text,
                         valid="LOW above 0, or without :log")
    return Span(low, high, bool(scale))


def _number(text: str) -> float | None:
    """A whole number or another one, finite; None where it is no number."""
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return found if math.isfinite(found) else None
    return None


def corners(axes: Axes) -> Iterator[Setting]:
    """Settings in which every value, and both ends of every range, are there once at least, as few as do."""
    ends = [axis.ends for axis in axes.values()]
    for k in range(max(map(len, ends))):
        yield {key: own[min(k, len(own) - 1)] for key, own in zip(axes, ends, strict=True)}


def all_of(axes: Axes, most: int) -> list[Setting] | None:
    """Every setting there is; None where there are more than `most`."""
    values = [axis.values for axis in axes.values()]
    if any(own is None for own in values) or math.prod(len(own or ()) for own in values) > most:
        return None
    return [dict(zip(axes, each, strict=True)) for each in itertools.product(*(own or () for own in values))]


def random_search(axes: Axes, number: int, seed: int, maximise: bool = True) -> Search:
    """`number` settings at once, each key drawn by itself: draw k of a key depends on the seed, the key and k alone."""
    streams = [Uniforms(seed, Purpose.TUNING, zlib.crc32(key.encode()), 1) for key in axes]
    found: dict[str, Setting] = {}
    for k in itertools.count():
        if len(found) == number:
            break
        drawn = {key: axis.at(float(stream.rows(range(k, k + 1), range(1))[0, 0]))
                 for (key, axis), stream in zip(axes.items(), streams, strict=True)}
        found.setdefault(name_of(drawn), drawn)
    yield list(found.values())


def optuna_search(axes: Axes, number: int, seed: int, maximise: bool = True) -> Search:
    """`number` settings in batches, each by Optuna's tree-structured Parzen estimator from all scores before (Bergstra
    et al., 2011, "Algorithms for hyper-parameter optimization")."""
    import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    asked = optuna.create_study(direction="maximize" if maximise else "minimize", sampler=optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=BATCH, constant_liar=True))
    spaces: dict[str, Any] = {key: _space(axis) for key, axis in axes.items()}
    scores: dict[str, float | None] = {}

    def tell(trial: Any, score: float | None) -> None:
        asked.tell(trial, score, state=optuna.trial.TrialState.FAIL if score is None else None)

    while len(scores) < number:
        batch: dict[str, Setting] = {}
        trials = []
        for _ in range(TRIES):
            trial = asked.ask(spaces)
            drawn = {key: _taken(axis, trial.params[key]) for key, axis in axes.items()}
            name = name_of(drawn)
            if name in scores:
                tell(trial, scores[name])
                continue
            batch[name] = drawn
            trials.append((trial, name))
            if len(batch) == min(BATCH, number - len(scores)):
                break
        if not batch:
            return
        scores |= dict(zip(batch, (yield list(batch.values())), strict=True))
        for trial, name in trials:
            tell(trial, scores[name])


SEARCHES = {"random": random_search, "optuna": optuna_search}


def begun(sampler: str, axes: Axes, number: int, seed: int, maximise: bool) -> Search:
    """The search that draws `number` settings; where there are no more of them, it gives them all.

    Raises:
        InputError: there is no such sampler, or what it needs is not installed.
    """
    if number < 1:
        raise InputError("a tuning tries one setting at least", key="--samples", found=number, valid="1, 2, ...")
    if sampler not in SEARCHES:
        raise InputError("there is no such sampler", key="--sampler", found=sampler, valid=", ".join(SEARCHES))
    if sampler == "optuna" and find_spec("optuna") is None:
        raise InputError("needs the package optuna, which is not installed", key="--sampler", found=sampler,
                         valid='pip install "netac[tune]", or --sampler random')
    whole = all_of(axes, number)
    return SEARCHES[sampler](axes, number, seed, maximise) if whole is None else _once(whole)


def _once(settings: list[Setting]) -> Search:
    """A search of one batch."""
    yield settings


def name_of(setting: Mapping[str, Any]) -> str:
    """What no other setting is called."""
    return ", ".join(f"{key}={study.text_of(value)}" for key, value in setting.items())


def _space(axis: Span | Listed) -> Any:
    from optuna import distributions
    if isinstance(axis, Listed):                       # by their places: values may be tables
        return distributions.CategoricalDistribution(list(range(len(axis.values))))
    if axis.whole:
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return distributions.FloatDistribution(float(axis.low), float(axis.high), log=axis.log)


def _taken(axis: Span | Listed, told: Any) -> Any:
    """The value that Optuna's number stands for."""
    if isinstance(axis, Listed):
        return axis.values[told]
    return told if axis.whole else min(max(float(f"{told:.{DIGITS}g}"), float(axis.low)), float(axis.high))
