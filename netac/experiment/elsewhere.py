"""Trained agents in other games than those of their training: what of a run's experiment may be changed for that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netac.experiment import config
from netac.experiment.build import Setting
from netac.experiment.description import Description, Interface
from netac.results.records import EXPERIMENT, RunRecord
from netac.utils.errors import InputError

FIXED = ("env.name", "env.factory", "env.folder", "env.path")      # which environment it is


def changed(record: RunRecord, overrides: Mapping[str, Any]) -> config.Source:
    """The experiment of a run with `overrides`: options of the environment, as "env.KEY", and the seed.

    Raises:
        InputError: something else is to be changed.
    """
    for key, value in overrides.items():
        if key != "seed" and (not key.startswith("env.") or key in FIXED):
            raise InputError("is a part of what was trained", file="--set", key=key, found=value,
                             valid="options of the environment, as env.KEY=VALUE, and seed=NUMBER")
    return config.read(record.folder / EXPERIMENT, overrides)


def refuse_misfits(setting: Setting, kept: Mapping[str, np.ndarray], folder: Path) -> None:
    """Refuse agents that learned to see or do something else than there is in these games.

    Args:
        setting: of these games.
        kept: the agents' checkpoint.
        folder: whose it is.

    Raises:
        InputError: their parameters are of another number, or they are networks with other spaces.
    """
    alike = kept["parameters"].shape[1] == setting.layout.total
    description = Description.read(kept, folder)
    if setting.plays_games and description is not None and description.interface is not None:
        learned, found = description.interface, Interface.of(setting.model)
        alike &= (learned.observations, learned.actions) == (found.observations, found.actions)
    if not alike:
        raise InputError("agents that were trained in other games do not fit these", file="--set", key="env",
                         found="agents that see or do something else",
                         valid="options with which agents see and do the same as in training")
