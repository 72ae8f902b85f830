"""Folders as exhibits of the report: their tables, and their runs put together by what they are runs of."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netac.results.cells import RUNS
from netac.results.comparison import RUN_TABLE, TABLE
from netac.results.records import EXPERIMENT, METRICS, SUMMARY, RunRecord, load_run
from netac.results.tables import read_rows
from netac.results.tuning import TABLE as TUNING
from netac.results.tuning import TEST, is_tuning
from netac.utils.errors import InputError
from netac.utils.progress import doing

BOOKKEEPING = ("seed", "log_every", "checkpoint_every")      # and what begins with evaluate_
MOST_TOLD = 3            # keys in a label

TextRow = Mapping[str, str]


@dataclass(frozen=True)
class Setup:
    """Runs that differ in nothing but the seed.

    Attributes:
        label: what sets it apart from the other setups of its exhibit.
        records: its runs, each with another seed, in the order of seeds.
    """

    label: str
    records: tuple[RunRecord, ...]

    @property
    def first(self) -> RunRecord:
        """The run with the smallest seed."""
        return self.records[0]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Their seeds."""
        return tuple(map(_seed, self.records))


@dataclass(frozen=True)
class Exhibit:
    """A comparison, or all single runs in one environment.

    Attributes:
        title: what it is.
        setups: its finished runs.
        table, run_table: the rows of `comparison.csv` and `comparison_runs.csv` as they are written; none of single
            runs, and of a comparison that has not come to its end.
        notes: what is missing.
    """

    title: str
    setups: tuple[Setup, ...]
    table: tuple[TextRow, ...] = ()
    run_table: tuple[TextRow, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def records(self) -> list[RunRecord]:
        """All its runs."""
        return [record for setup in self.setups for record in setup.records]


def read_folders(folders: Sequence[Path]) -> list[Exhibit]:
    """Comparisons in the order of their folders, a tuning's test after its search, then single runs, an exhibit for
    each environment; a folder that is given twice counts once.

    Raises:
        InputError: a folder is neither that of a comparison nor of a finished run, or a file in it is damaged.
    """
    found = [each for folder in folders for each in (
        (folder, folder / TEST) if is_tuning(folder) and is_comparison(folder / TEST) else (folder,))]
    folders = list({os.path.realpath(folder): folder for folder in found}.values())
    compared = [folder for folder in folders if is_comparison(folder)]
    with doing(f"reading {len(folders):,} folders"):
        exhibits = [_comparison(folder) for folder in compared]
        known = {os.path.realpath(record.folder) for exhibit in exhibits for record in exhibit.records}
        singles = [_run(folder) for folder in folders
                   if folder not in compared and os.path.realpath(folder) not in known]
    return exhibits + [Exhibit(f"Runs on {env}", _setups([record for record in singles if _env(record) == env]))
                       for env in dict.fromkeys(map(_env, singles))]


def is_comparison(folder: Path) -> bool:
    """Whether `netac compare` has written the folder."""
    return (folder / RUNS).is_dir() or (folder / TABLE).is_file()


def _comparison(folder: Path) -> Exhibit:
    table, run_table = ([*read_rows(file)] if (file := folder / name).is_file() else [] for name in (TABLE, RUN_TABLE))
    places = sorted(file.parent for file in (folder / RUNS).rglob(SUMMARY))
    unfinished = sorted(file.parent for file in (folder / RUNS).rglob(EXPERIMENT) if file.parent not in places)
    if not places and not table:
        raise InputError("holds no finished runs of a comparison", file=folder,
                         valid="a folder that netac compare has written, or the folder of a finished run")
    records = [_run(place) for place in places]
    order = list(dict.fromkeys(row.get("algorithm", "") for row in table))
    records.sort(key=lambda record: order.index(name) if (name := _algorithm(record)) in order else len(order))
    searched = is_tuning(folder)
    notes = [] if table or searched else [f"{TABLE} is not there: the comparison has not come to its end."]
    if searched:
        notes.append(f"These are the settings that a search tried; {TUNING} has its stages, {folder / TEST} its test.")
    if unfinished:
        notes.append(f"{len(unfinished)} of {len(unfinished) + len(places)} runs have not finished and are left out.")
    about = f": {_env(records[0])}, {records[0].summary.get('agents', '?')} agents" if records else ""
    title = f"{'Tuning' if searched else 'Comparison'} in {folder}{about}"
    return Exhibit(title, _setups(records), tuple(table), tuple(run_table), tuple(notes))


def _run(folder: Path) -> RunRecord:
    """A run with what curves are drawn from."""
    record = load_run(folder)
    if "env_steps" not in record.metrics:
        raise InputError("has columns missing", file=folder / METRICS, key="env_steps", found=", ".join(record.metrics),
                         valid="a CSV file written by netac run")
    return record


def _setups(records: Sequence[RunRecord]) -> tuple[Setup, ...]:
    """The runs put together by their experiments; of two with the same seed the later one makes a setup of its own."""
    groups: dict[str, list[RunRecord]] = {}
    seen: dict[tuple[str, int], int] = {}
    for record in records:
        settings = {key: value for key, value in record.experiment.items()
                    if key not in BOOKKEEPING and not key.startswith("evaluate_")}
        text = json.dumps(settings, sort_keys=True, default=str)
        again = seen[text, _seed(record)] = seen.get((text, _seed(record)), -1) + 1
        groups.setdefault(f"{text} {again}", []).append(record)
    grouped = [tuple(sorted(group, key=_seed)) for group in groups.values()]
    return tuple(Setup(label, group) for label, group in zip(labels(grouped), grouped, strict=True))


def labels(groups: Sequence[Sequence[RunRecord]]) -> list[str]:
    """A name for each group of runs: the algorithm and, of groups with the same one, what else they differ in; the
    folder where that would be much, or nothing."""
    names, tables = [_algorithm(group[0]) for group in groups], [flat(group[0].experiment) for group in groups]
    keys = {name: _differing([table for own, table in zip(names, tables, strict=True) if own == name])
            for name in dict.fromkeys(names)}
    found = []
    for name, table, group in zip(names, tables, groups, strict=True):
        told = [f"{key.removesuffix('.name')}={table[key]}" for key in keys[name] if key in table]
        found.append(", ".join([name, *told]) if len(told) <= MOST_TOLD else f"{name}, {group[0].folder}")
    twice = {label for label in found if found.count(label) > 1}
    found = [f"{label}, {group[0].folder}" if label in twice else label
             for label, group in zip(found, groups, strict=True)]
    return [label if label not in found[:k] else f"{label} #{k + 1}" for k, label in enumerate(found)]


def _differing(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys in which flat tables differ; of a table whose name differs that alone."""
    keys = [key for key in dict.fromkeys(key for table in tables for key in table)
            if key not in BOOKKEEPING and not key.startswith("evaluate_")
            and len({repr(table.get(key)) for table in tables}) > 1]
    named = [key for key in keys if key.endswith((".name", ".path", ".factory"))]
    of_named = tuple(f"{key.rpartition('.')[0]}." for key in named)
    return named + [key for key in keys if not key.startswith(of_named)] if named else keys


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A table with those in it as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _seed(record: RunRecord) -> int:
    seed = record.summary.get("seed", 0)
    assert isinstance(seed, int), "load_summary has looked at it"
    return seed


def _algorithm(record: RunRecord) -> str:
    if "algorithm" not in record.summary:
        raise InputError("has no algorithm", file=record.folder / SUMMARY, valid=f"as in {EXPERIMENT}")
    return str(record.summary["algorithm"])


def _env(record: RunRecord) -> str:
    return str(record.summary.get("env", "?"))
