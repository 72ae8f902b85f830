"""A run on its graph: what was sent over it in which stretch of iterations, and what is known of single agents.

A run folder holds the team's reward and the mean disagreement as time goes by; of single agents it holds the parameters
and the traffic of its last checkpoint and, where the algorithm reports them, the rows of `diagnostics.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from netac.comm import checkpoints
from netac.experiment.description import Description
from netac.experiment.report.graphs import STRETCHES, Topologies, stretches, why_not
from netac.experiment.report.lines import Pool, read_diagnostics, rounded
from netac.experiment.report.reading import Exhibit, Setup
from netac.results.curves import interval_means
from netac.results.records import CHECKPOINTS, RunRecord
from netac.utils.errors import InputError, RunError
from netac.utils.progress import doing

LARGEST_CHECKPOINT = 8_000_000      # bytes of one that is read here
MOST_NUMBERS = 300_000              # of single agents' diagnostics, of all setups together
CLOSE = 1e-4                        # relative error within which a mean is that of metrics.csv


def on_graphs(exhibits: Sequence[Exhibit], trust: bool) -> tuple[list[dict[str, Any]], Topologies]:
    """For each setup its first run on its graph, as the page draws it; what it is drawn on."""
    setups = [(exhibit, setup) for exhibit in exhibits for setup in exhibit.setups]
    topologies = Topologies.of([setup.first for _, setup in setups], trust)
    with doing("computing the graphs of the runs"):
        return [_on_graph(setup.label if len(exhibits) == 1 else f"{exhibit.title}: {setup.label}", setup, topologies,
                          MOST_NUMBERS // len(setups)) for exhibit, setup in setups], topologies


def _on_graph(label: str, setup: Setup, topologies: Topologies, numbers: int) -> dict[str, Any]:
    """The first run of a setup on its graph; `numbers` is how many it may tell of single agents' diagnostics."""
    record, place, edges, why = setup.first, None, np.zeros(1, int), ""
    try:
        key, loaded = topologies.load(record)
        topologies.certify(key, loaded, label)
        if loaded.radius is not None:
            why = ("Who heard whom followed from where agents were; the folder does not hold that, only how many "
                   "neighbours they had (the learning curves neighbours and connected).")
        else:
            for most in STRETCHES:
                edges = stretches(record.metrics["iteration"], most)
                place = topologies.draw(key, loaded, edges, record.iterations) if len(edges) > 1 else None
                if place is not None:
                    break
            else:
                why = "There are too many links to be drawn." if len(edges) > 1 else "The run has logged no iterations."
    except (InputError, RunError) as error:
        why = why_not(error)
    views = [] if place is None else [_traffic(record, view, topologies.drawn[place]["pool"])
                                      for view in topologies.drawn[place]["views"]]
    _share_message_size(views)
    pool = Pool()
    return {"label": label, "seed": setup.seeds[0], "topology": place, "why": why,
            "conditions": sorted(map(str, network)) if isinstance(network := record.experiment.get("network"),
                                                                  Mapping) else [],
            "views": views, "colours": list(_colours(record, views, edges, pool, numbers)), "pool": pool.rows}


def _traffic(record: RunRecord, view: Mapping[str, Any], pool: Sequence[Sequence[float]]) -> dict[str, Any]:
    """What happened in the stretches of a view: bytes for consensus, all agents together, the team's reward, and the
    disagreement at the end."""
    metrics, frames = record.metrics, view["frames"]
    ends = np.array([0, *(frame["to"] for frame in frames)], dtype=float)
    ends[0] = frames[0]["from"]
    at = np.concatenate([[0.0], metrics["iteration"]])
    sent = np.interp(ends, at, np.concatenate([[0.0], _column(record, "bytes_consensus")]))
    messages = [sum(pool[frame["messages"]]) for frame in frames]
    return {"ends": ends, "messages": messages, "bytes": np.diff(np.nan_to_num(sent)) * record.summary.get("agents", 0),
            "reward": _rewards(record, ends), "consensus_error": np.interp(
                ends[1:], metrics["iteration"], _column(record, "consensus_error"))}


def _share_message_size(views: Sequence[dict[str, Any]]) -> None:
    """Single iterations are logged several at a time: they share the bytes of the run as they share its messages."""
    for view in views[1:]:
        total = sum(views[0]["messages"])
        view["bytes"] = np.array(view["messages"]) * (views[0]["bytes"].sum() / total if total else 0.0)
    for view in views:
        for name in ("bytes", "reward", "consensus_error", "ends"):
            view[name] = [rounded(value) for value in view[name].tolist()]


def _rewards(record: RunRecord, ends: np.ndarray) -> np.ndarray:
    """The team's mean reward over stretches between the iterations `ends`, (F + 1); of one that lies between two logged
    rows that of the rows."""
    iterations, reward = record.metrics["iteration"].astype(float), _column(record, "reward")
    samples = _column(record, "env_steps")
    kept = np.isfinite(reward) & np.isfinite(samples)
    if not kept.any():
        return np.full(len(ends) - 1, np.nan)
    at = np.interp(ends, np.concatenate([[0.0], iterations]), np.concatenate([[0.0], np.nan_to_num(samples)]))
    logged = np.searchsorted(iterations[kept], ends[1:]).clip(max=int(kept.sum()) - 1)
    of_row = reward[kept][logged]
    if (np.diff(at) <= 0).any() or not np.isin(ends[1:], iterations).all():
        return of_row
    return interval_means(samples[kept].astype(float), reward[kept], at)


def _colours(record: RunRecord, views: Sequence[Mapping[str, Any]], edges: np.ndarray, pool: Pool,
             numbers: int) -> Iterator[dict[str, Any]]:
    """What agents can be coloured by: numbers of each, at the run's end or in every stretch, or of all together."""
    if not views:
        return
    agents, (kept, missing) = record.summary.get("agents", 0), last_checkpoint(record)
    if kept is not None:
        values, parts = disagreements(kept, record)
        if parts:
            yield {"name": "disagreement", "label": f"each agent's disagreement at the end ({', '.join(parts)})",
                   "kind": "agent", "values": pool.add(values)}
        sent = kept.get("ledger_bytes", np.empty(0))
        if sent.shape == (agents,) and sent.any():
            yield {"name": "bytes", "label": "bytes each agent has sent to its neighbours, at the end",
                   "kind": "agent", "values": pool.add(sent)}
    yield {"name": "reward", "label": "the team's reward (all agents alike: a folder holds no agent's own)",
           "kind": "team", "of": "reward"}
    yield {"name": "consensus_error", "label": "the mean disagreement (all agents alike)", "kind": "team",
           "of": "consensus_error"}
    if missing:
        yield {"name": "missing", "label": missing, "kind": "none"}
    table = read_diagnostics(record)
    for column, values in table.items():
        if values.shape[1] != agents or column in ("iteration", "env_steps") or numbers < len(edges) * agents:
            continue
        numbers -= len(edges) * agents
        rows = []
        for view in views:
            at = np.searchsorted(table["iteration"][:, 0], np.array(view["ends"][1:], dtype=float))
            rows.append([pool.add(row) for row in values[at.clip(max=len(values) - 1)]])
        yield {"name": column, "label": f"{column.replace('_', ' ')} of each agent's update (diagnostics.csv)",
               "kind": "stretch", "values": rows}


def last_checkpoint(record: RunRecord) -> tuple[Mapping[str, np.ndarray] | None, str]:
    """The checkpoint that a run has ended with, and what it is; or why it is not read."""
    folder = record.folder / CHECKPOINTS
    sizes = [file.stat().st_size for file in checkpoints.existing(folder)[-1:]]
    if not sizes:
        return None, "each agent's disagreement: the folder holds no checkpoint"
    if sizes[0] > LARGEST_CHECKPOINT:
        return None, f"each agent's disagreement: the last checkpoint is too large to be read here ({sizes[0]:,} bytes)"
    try:
        return checkpoints.final(folder, record.iterations), ""
    except InputError as error:
        return None, f"each agent's disagreement: {error}"


def disagreements(kept: Mapping[str, np.ndarray], record: RunRecord) -> tuple[np.ndarray, list[str]]:
    """||x_i - mean x||^2 of every agent, (N,), and the parts of x it is of: those whose mean over agents is what the
    last row of `metrics.csv` says.  The others (of a policy of which a part is shared) a folder does not tell apart."""
    flat = np.asarray(kept.get("parameters", np.empty(0)))
    try:
        description = Description.read(kept, record.folder / CHECKPOINTS)
    except InputError:
        description = None
    if description is None or flat.ndim != 2 or flat.dtype.kind != "f":
        return np.zeros(0), []
    whole, parts = np.zeros(len(flat)), []
    for name, column in (("policy", "theta"), ("omega", "omega"), ("lambda", "lambda")):
        x = flat[:, description.columns[column]].astype(float)
        said = _column(record, f"consensus_error_{name}")
        own = np.square(x - x.mean(axis=0)).sum(axis=1) if x.size else np.zeros(len(flat))
        if len(said) and np.isfinite(said[-1]) and x.size and abs(own.mean() - said[-1]) <= CLOSE * abs(said[-1]):
            whole += own
            parts.append(name)
    return whole, parts


def _column(record: RunRecord, name: str) -> np.ndarray:
    """A column of metrics.csv; NaN where there is none."""
    return record.metrics.get(name, np.full(len(record.metrics["iteration"]), np.nan))
