"""Runs experiments that have at least as many agents as this launch has processes; process 0 prints what came out."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from support.variants import fingerprint

import netac
from netac.comm import launch


def run_every(names: Iterable[str], experiment: Callable[[str], dict], keys: Iterable[str],
              arguments: Sequence[str] = ()) -> None:
    """Print, for every name, the fingerprint of its run and `keys` of its summary.

    Args:
        arguments: of the program: a folder that holds run folders, by name, to be resumed; or names, of all those that
            are to be run.  Without a folder runs are begun, and nothing is written.
    """
    folder = Path(arguments[0]) if len(arguments) == 1 else None
    names = arguments if len(arguments) > 1 else names if folder is None else [
        name for name in names if (folder / name).exists()]
    comm = launch.communicator()
    processes, root = (1, True) if comm is None else (comm.size, comm.rank == 0)
    found = {}
    for name in names:
        tables = experiment(name)
        if processes <= tables["agents"]:
            result = netac.run(tables, out=folder and folder / name, resume=folder is not None)
            found[name] = {"fingerprint": fingerprint(result), **{key: result.summary[key] for key in keys}}
    if root:
        print(json.dumps(found))
