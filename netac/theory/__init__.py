"""The papers' theorems and propositions as experiments, one module each, named as `netac theory` names them.

    from netac import theory
    finding = theory.run("policy-iteration", quick=True)
    print(finding.passes, [claim.verdict for claim in finding.claims])

An experiment is a module whose docstring says, in its first line, what is tested, and whose function
`experiment(lab) -> Finding` runs the test: `netac.theory._lab.Lab` says how much to do, `netac.theory._claims.Finding`
holds the results.  With `TAKES_GAME = True` it also takes a finite game of the user's (`Lab.game`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from netac.envs.finite_mdp import read_mdp
from netac.exact import FiniteMDP, refuse_large
from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab
from netac.theory._report import write
from netac.utils import plugins
from netac.utils.errors import InputError
from netac.utils.files import make_run_folder
from netac.utils.workers import cores

__all__ = ["Claim", "Finding", "Lab", "Table", "read_game", "run"]

PACKAGE = "netac.theory"


def read_game(path: str | Path) -> FiniteMDP:
    """The finite game of an .npz file, of the format of `env = { name = "finite-mdp", path = ... }`.

    Raises:
        InputError: the file is not as it should be, or the game is too large to be solved exactly.
    """
    mdp = read_mdp(Path(path))[0]
    try:
        refuse_large(mdp.states, mdp.agents, mdp.actions)
    except InputError as error:
        raise error.located(file=path) from error.__cause__
    return mdp


def run(name: str, *, quick: bool = False, seed: int = 0, jobs: int | None = None, game: FiniteMDP | None = None,
        out: str | Path | None = None, progress: bool = False) -> Finding:
    """Run an experiment.

    Args:
        name: one of those that `netac list theory` prints.
        quick: its quick form, of seconds; else the full one, of minutes.
        seed: of all random numbers.
        jobs: processes that share the work; None: one per core.
        game: a finite game in place of the experiment's own, where it takes one.
        out: where claims.csv, tables, picture.png and report.md go; None: nowhere.
        progress: show progress on a terminal.

    Raises:
        InputError: there is no such experiment, it takes no game or not this one, or `out` cannot be used.
        RunError: a part of the work failed.
    """
    module = plugins.module(PACKAGE, name, "theory experiment")
    if game is not None and not getattr(module, "TAKES_GAME", False):
        takers = [other for other in plugins.module_names(PACKAGE)
                  if getattr(plugins.module(PACKAGE, other, "theory experiment"), "TAKES_GAME", False)]
        raise InputError("this experiment is of games of its own", key="--game",
                         valid="with " + (", ".join(takers) or "none"))
    folder = None if out is None else make_run_folder(out)
    began = time.perf_counter()
    finding = module.experiment(Lab(quick, seed, jobs or cores(), game, progress))
    if folder is not None:
        seconds = time.perf_counter() - began
        write(finding, folder, name, [
            plugins.first_line(module), "",
            f"`netac theory {name}{' --quick' if quick else ''}{f' --seed {seed}' if seed else ''}` "
            f"in {seconds:.0f} seconds, {datetime.now(UTC):%Y-%m-%d}."])
    return finding
