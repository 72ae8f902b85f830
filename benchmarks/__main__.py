"""`python -m benchmarks [NAME ...]`: measure, print the table, and write RESULTS.md if everything was measured."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.launches import on_processes
from benchmarks.report import document, machine, table
from benchmarks.timing import Row

NAMES = ("start", "consensus", "cac_processes", "cac_launched", "cac_one_process", "mdac", "agents", "topology",
         "pursuit", "spread", "tag", "networks_one_process", "networks_consensus", "networks_processes", "happo",
         "happo_processes", "cppo", "conditions", "jaxmarl", "disropt")
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


def measure(name: str) -> list[Row]:
    """The rows of `benchmarks/rows/NAME.py`, measured in processes of their own with one thread each.

    Raises:
        SystemExit: the measurement failed; what it said goes to standard error.
    """
    processes = importlib.import_module(f"benchmarks.rows.{name}").PROCESSES
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    argv, environment = on_processes(processes, [sys.executable, "-m", "benchmarks.worker", name], PYTHONPATH=path)
    done = subprocess.run(argv, text=True, cwd=ROOT, stdout=subprocess.PIPE, env=environment, check=False)
    if done.returncode:
        sys.exit(f"benchmarks: {name} failed with status {done.returncode}")
    rows = json.loads(done.stdout.splitlines()[-1])
    return [Row(**{**row, "quartiles": row["quartiles"] and tuple(row["quartiles"])}) for row in rows]


def main() -> int:
    """Exit status 1 where a limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES)} (default: all)")
    names = parser.parse_args().names or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    where, started, rows = machine(), time.perf_counter(), []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += measure(name)
    print(table(rows), end="")
    if set(names) == set(NAMES):
        RESULTS.write_text(document(rows, where, "python -m benchmarks", time.perf_counter() - started))
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
