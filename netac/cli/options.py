"""Options that several commands have."""

from __future__ import annotations

import click

SET = click.option("--set", "sets", multiple=True, metavar="KEY=VALUE",
                   help="Override a key of the file, e.g. --set algorithm.name=dac --set topology=graphs/gossip.py. "
                        "May be given several times; every key can be set.")


def overrides(sets: tuple[str, ...]) -> dict:
    """What --set said, by key."""
    from netac.experiment.config import parse_set
    return dict(parse_set(text) for text in sets)
