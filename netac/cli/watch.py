"""`netac watch`."""

from __future__ import annotations

import time
from pathlib import Path

import click


@click.command("watch")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--every", type=click.FloatRange(0.1, 3600.0), default=2.0, show_default=True,
              help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Print how far it is, and end.")
def watch_command(folder: Path, every: float, once: bool) -> None:
    """Watch a run, a comparison or a tuning that goes on: curves, how far every cell is, failures.

    Its files are read, and nothing else, so that it may be on another machine that shares them. It ends when everything
    has ended, or with ^C, which does the runs no harm.
    """
    from rich.console import Console
    from rich.live import Live

    from netac.results import tuning, watching
    console = Console()

    def ended(runs: list[watching.Progressed]) -> bool:
        return all(run.state in watching.ENDED for run in runs) and not tuning.goes_on(folder)

    runs = watching.look(folder)
    if once or ended(runs) or not console.is_terminal:
        console.print(watching.shown(runs, min(console.width, 100)))
        return
    with Live(watching.shown(runs, min(console.width, 100)), console=console, auto_refresh=False) as live:
        while not ended(runs):
            time.sleep(every)
            runs = watching.look(folder)
            live.update(watching.shown(runs, min(console.width, 100)), refresh=True)
