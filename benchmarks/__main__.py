"""`python -m benchmarks [NAME ...]`: measure, print the table, and put it into RESULTS.md, row by row."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.launches import on_processes
from benchmarks.report import Measured, document, keep, machine, read, table
from benchmarks.timing import Row
from netac.utils.files import atomic_write

NAMES = ("start", "consensus", "cac_processes", "cac_launched", "cac_one_process", "mdac", "agents", "topology",
         "pursuit", "spread", "tag", "platoon", "traffic", "smax", "networks_one_process", "networks_consensus",
         "networks_processes", "happo", "happo_processes", "cppo", "vdn", "conditions", "study", "jaxmarl", "disropt")
ROOT = Path(__file__).parents[1]
RESULTS, KEPT = ROOT / "benchmarks" / "RESULTS.md", ROOT / "benchmarks" / "results.json"


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
    return [Row.of(row) for row in json.loads(done.stdout.splitlines()[-1])]


def main() -> int:
    """Exit status 1 where a limit is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES)} (default: all)")
    names = parser.parse_args().names or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    where, found = machine(), {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        found[name] = Measured(tuple(measure(name)), where)
        known = read(KEPT) | {name: found[name]}
        kept = {each: known[each] for each in NAMES if each in known}
        keep(KEPT, kept)
        atomic_write(RESULTS, document([*kept.values()]))
    print(table([*found.values()]), end="")
    return 1 if any(row.met is False for measured in found.values() for row in measured.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
