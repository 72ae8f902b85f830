"""VDN's update on 32 sequences of 25 steps, of three agents with memory, against the same in bare torch."""

from __future__ import annotations

import tomllib
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.floors.vdn_torch import Settings, Vdn
from benchmarks.timing import Row, compare, per_round, race
from netac.algorithms.centralized._factorised import FactorisedUpdate
from netac.algorithms.centralized.vdn import mix
from netac.experiment import config
from netac.experiment.build import Parts, assemble, prepare
from netac.sampling.encoding import Encoding

PROCESSES = 1
UPDATES, BLOCKS, STEPS = 20, 7, 250             # of a timing; and of all games, which fill the replay
EXPERIMENT = Path(__file__).parents[2] / "examples" / "spread_qmix.toml"
LIMIT = 1.3


def measure(comm) -> list[Row]:
    """The example with VDN: a network for every agent, to which the limit applies, and one for all."""
    return [_row("separate", LIMIT, "a network for every agent"),
            _row("shared", None, "one network for all, by which each agent computes for itself, and torch for all "
                                 "three together")]


def _row(parameters: str, limit: float | None, note: str) -> Row:
    tables = tomllib.loads(EXPERIMENT.read_text())
    tables["algorithm"] |= {"name": "vdn", "parameters": parameters, "updates": UPDATES}
    parts = assemble(prepare(config.read(tables).experiment()))
    settings = parts.setting.settings
    parts.agents.replay.collect(parts.sampler, parts.agents.parameters.theta, STEPS)
    timings = race(per_round(partial(_updates, parts), 1), per_round(_floor(parts).update, UPDATES), BLOCKS)
    timings[:, 0] /= UPDATES
    return compare(f"VDN's update on {settings.batch} sequences of {settings.chunk} steps, {tables['agents']} agents "
                   "with a GRU, one process: from the replay to the targets / the same in bare torch", timings,
                   lambda seconds: f"{seconds * 1e3:.1f} ms", limit, note=f"examples/spread_qmix.toml, {note}")


def _updates(parts: Parts) -> None:
    """The updates of one iteration, as in `netac.algorithms.centralized.vdn`."""
    agents, links, settings = parts.agents, parts.network, parts.setting.settings
    encode = Encoding(parts.sampler.environment.actions)
    alpha, beta = (np.array(step, np.float32) for step in (settings.actor_step, settings.critic_step))
    for number, b in agents.batches(0, links, settings):
        update = FactorisedUpdate(number, b, agents, links, encode, alpha, beta, settings)
        told = update.tell()
        update.descend(update.regress(told, mix))
        update.follow()


def _floor(parts: Parts) -> Vdn:
    """The script, with what is in the replay."""
    agents, settings = parts.agents, parts.setting.settings
    network = parts.setting.experiment.policy
    b, shape = agents.replay.take(np.arange(agents.replay.held)), (settings.chunk, agents.replay.held)
    obs = np.stack([np.concatenate([own.reshape(*shape, -1), after.reshape(*shape, -1)[-1:]])
                    for own, after in zip(b.obs, b.next_obs, strict=True)])
    taken = np.stack([own.reshape(shape) for own in b.own])
    options = Settings(network["hidden"][0], network["units"], settings.batch, settings.gamma, settings.actor_step,
                       settings.tau)
    return Vdn(obs, taken, b.r.mean(axis=0).reshape(shape).astype(np.float32), parts.agents.policy.actions[0].n_actions,
               options, settings.parameters == "shared")
