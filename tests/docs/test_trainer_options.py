"""The table of trainers and options on their page is what the trainers have."""

from __future__ import annotations

import re

import pytest
from support.launching import ROOT

from netac.utils import plugins

TRAINERS = "netac.algorithms.centralized"
NOT_SAID = {"baseline": "off", "parameters": "where alike", "target_every": "off"}


def table() -> tuple[list[str], dict[str, list[str]]]:
    """The options, and each trainer's cells."""
    text = (ROOT / "docs" / "trainers.md").read_text()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]]
            for line in re.search(r"(?:^\| trainer .*\n)(?:^\|.*\n)+", text, re.MULTILINE).group().splitlines()]
    return rows[0][1:], {name: cells for name, *cells in rows[2:]}


def told(trainer: str, option: str) -> str:
    """What the table should say."""
    fields = plugins.module(TRAINERS, trainer, "trainer").Settings.model_fields
    if option not in fields:
        return "-"
    default = fields[option].default
    return NOT_SAID[option] if default is None else str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("trainer", plugins.module_names(TRAINERS))
def test_a_trainer_has_the_options_that_its_row_says(trainer):
    options, rows = table()
    assert rows[trainer] == [told(trainer, option) for option in options]


def test_every_row_is_a_trainers_and_every_option_is_that_of_some():
    options, rows = table()
    assert list(rows) == plugins.module_names(TRAINERS)
    assert all({cells[k] for cells in rows.values()} > {"-"} for k in range(len(options)))
    assert {"clip_over_agents", "baseline", "parameters"} <= set(options)
