"""Measures one module of `benchmarks.rows`, on as many processes as it was launched with: one line of JSON."""

from __future__ import annotations

import importlib
import json
import sys

from netac.comm import launch


def main(name: str) -> None:
    """Measure, and write the rows to standard output (process 0)."""
    comm = launch.communicator()
    rows = importlib.import_module(f"benchmarks.rows.{name}").measure(comm)
    if comm is None or comm.rank == 0:
        print(json.dumps([row.as_dict() for row in rows]))


if __name__ == "__main__":
    main(sys.argv[1])
