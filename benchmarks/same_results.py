"""`python -m benchmarks.same_results COMMIT`: every example, shortened, on 1, 2 and n processes, by this code and by a
commit's.

Both must end with the same `parameters_sha256` and, but for seconds, with the same rows of metrics.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.launches import on_processes

ROOT = Path(__file__).parents[1]
REPLAY = {"algorithm.warmup": 50, "algorithm.batch": 32}   # updates must begin in the few samples of a shortened run


@dataclass(frozen=True)
class Example:
    """A file of examples/, shortened.

    Attributes:
        iterations: how many are left of it.
        algorithms: what runs on it; empty: its own alone.
        processes: n; None: as many as agents.
    """

    file: str
    iterations: int
    algorithms: tuple[str, ...] = ()
    processes: int | None = None


EXAMPLES = (
    Example("coordination.toml", 600, ("cac", "dac", "mdac", "dnac", "iac")),
    Example("federated.toml", 300),
    Example("mdp_mdac.toml", 20, ("mdac", "dnac")),
    Example("random_mdp.toml", 300, ("cac", "dac")),
    Example("many_agents.toml", 3, processes=2),
    Example("custom_env.toml", 100),
    Example("custom_network.toml", 4, ("cac", "dac", "iac", "mdac")),
    Example("pursuit.toml", 3, ("cac", "dac", "mdac")),
    Example("pettingzoo.toml", 3),
    Example("spread.toml", 1, ("happo", "mappo", "hatrpo", "coma", "maddpg", "haddpg", "jrppo", "ippo", "haa2c")),
    Example("halfcheetah.toml", 1),
    Example("centralized_vs_decentralized.toml", 6, ("cac", "dac", "mappo")),
    Example("centralized_vs_decentralized_coordination.toml", 2, ("happo", "ippo")),
)


def cases() -> Iterator[tuple[str, str, int, dict[str, object]]]:
    """Every (file, algorithm, processes, overrides)."""
    for example in EXAMPLES:
        tables = tomllib.loads((ROOT / "examples" / example.file).read_text())
        own = tables["algorithm"] if isinstance(tables["algorithm"], str) else tables["algorithm"]["name"]
        for algorithm in example.algorithms or (own,):
            changed = {"algorithm.name": algorithm, "iterations": example.iterations,
                       f"algorithm.{algorithm}.iterations": example.iterations,
                       "log_every": max(1, example.iterations // 3),
                       **(REPLAY if algorithm in ("maddpg", "haddpg") else {})}
            for processes in sorted({1, 2, example.processes or tables["agents"]}):
                yield example.file, algorithm, processes, changed


def outcome(tree: Path, file: str, processes: int, changed: dict[str, object]) -> tuple[str, list[dict[str, str]]]:
    """`parameters_sha256` and the rows of metrics.csv, without seconds, of a run by the code in `tree`.

    Of a run that failed: "failed: ...", and no rows.
    """
    options = [part for key, value in changed.items() for part in ("--set", f"{key}={value}")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        program = [sys.executable, "-m", "netac", "run", f"examples/{file}", *options, "--out", str(out)]
        command, environment = on_processes(processes, program, PYTHONPATH=str(tree))
        done = subprocess.run(command, cwd=tree, env=environment, text=True, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if done.returncode:
            return f"failed: {done.stderr.strip()[-200:]}", []
        with (out / "metrics.csv").open(newline="") as table:
            rows = [{name: cell for name, cell in row.items() if name != "seconds"} for row in csv.DictReader(table)]
        return json.loads((out / "summary.json").read_text())["parameters_sha256"], rows


def main() -> int:
    """Exit status 1 where anything differs or fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same_results", description=__doc__)
    parser.add_argument("commit", help="what this code is held against, e.g. HEAD~1")
    parser.add_argument("names", nargs="*", metavar="EXAMPLE", help="files of examples/ (default: all)")
    given = parser.parse_args()
    same = True
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(tree), given.commit], cwd=ROOT, check=True)
        try:
            for file, algorithm, processes, changed in cases():
                if given.names and file not in given.names:
                    continue
                mine, theirs = (outcome(where, file, processes, changed) for where in (ROOT, tree))
                equal = mine == theirs and not mine[0].startswith("failed")
                same &= equal
                print(f"{'same' if equal else 'OTHER':5} {file} {algorithm} p={processes} {mine[0][:12]}"
                      + ("" if equal else f" | {mine[0]} | {theirs[0]}"), flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
