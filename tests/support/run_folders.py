"""What the tests of runs share: run folders with all their checkpoints, and such folders as a killed run leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import netac
from netac.comm import checkpoints
from support.variants import fingerprint


def all_checkpoints(names: Iterable[str], experiment: Callable[[str], dict], folder: Path) -> dict[str, str]:
    """Run every variant in this process into a folder of its own that keeps all checkpoints; what each came to."""
    kept, checkpoints.KEPT = checkpoints.KEPT, 1000
    try:
        return {name: fingerprint(netac.run(experiment(name), out=folder / name)) for name in names}
    finally:
        checkpoints.KEPT = kept


def stopped_copy(whole: Path, part: Path, iteration: int) -> Path:
    """A folder like that of a run killed before the first checkpoint after `iteration`."""
    (part / "checkpoints").mkdir(parents=True)
    for path in checkpoints.existing(whole / "checkpoints"):
        if int(path.stem) <= iteration:
            (part / "checkpoints" / path.name).write_bytes(path.read_bytes())
    for file in ("experiment.toml", *(path.name for path in whole.glob("*.csv"))):
        (part / file).write_bytes((whole / file).read_bytes())
    return part
