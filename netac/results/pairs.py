"""Cells held against each other two by two: how probably one ends above the other, and by how much with equal seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from netac.results.comparison import UNKNOWN, SeedResult, groups, interval_cells
from netac.results.statistics import improvement_interval, iqm_interval
from netac.results.tables import Cell

TABLE = "comparison_pairs.csv"
MANY = 32         # cells, beyond which each is held against the first one alone


def pairs(results: Sequence[SeedResult]) -> list[dict[str, Cell]]:
    """A row for every two cells of a comparison: `cell` and `other`, by their names.

    `probability` is that of a run of `cell` ending above one of `other` (ties count half, Agarwal et al., 2021), with
    its 95 % bootstrap interval over the seeds of both; `difference` the interquartile mean of the differences of final
    rewards between runs of equal seeds, where there are some.
    """
    ended = [(name, {result.seed: result.final_reward for result in group if result.status == "ok"})
             for name, group in groups(results)]
    ended = [(name, by_seed) for name, by_seed in ended if by_seed]
    chosen = itertools.combinations(ended, 2) if len(ended) <= MANY else ((ended[0], other) for other in ended[1:])
    return [_row(*one, *other) for one, other in chosen]


def _row(name: str, own: dict[int, float], other_name: str, others: dict[int, float]) -> dict[str, Cell]:
    common = sorted(own.keys() & others.keys())
    row: dict[str, Cell] = {"cell": name, "other": other_name, "seeds": len(own), "seeds_of_other": len(others)}
    x, y = (np.array(list(each.values())) for each in (own, others))
    row |= interval_cells("probability", improvement_interval(x, y))
    gaps = np.array([own[seed] - others[seed] for seed in common])
    row["seeds_in_common"] = len(common)
    return row | interval_cells("difference", iqm_interval(gaps) if common else UNKNOWN)
