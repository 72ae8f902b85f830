"""`netac tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netac.cli.options import SET, overrides


@click.command("tune")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--vary", "vary", multiple=True, metavar="KEY=LOW..HIGH[:log] | KEY=VALUE,VALUE,...", help=(
    "What a key of the file may be: a range of numbers, e.g. algorithm.actor_step=0.001..0.5:log (whole ones where "
    "both ends are, e.g. algorithm.batch=1..8), or values, e.g. topology=ring,complete. May be given several times."))
@click.option("--samples", type=int, required=True, metavar="N", help=(
    "Settings to try; where there are no more of them, each is tried once."))
@click.option("--sampler", default="random", show_default=True, metavar="random|optuna", help=(
    "random draws every setting by itself; optuna (extra tune) draws eight at a time by what the first rung says of "
    "those before."))
@click.option("--rungs", type=int, default=3, show_default=True, help=(
    "Stages of training: all settings train through the first, the best go on to the next, the last is the whole run; "
    "1: every setting is trained to the end."))
@click.option("--keep", default="1/3", show_default=True, metavar="SHARE", help=(
    "Of the settings that go on from a rung; each rung trains 1/SHARE times as long as the one before."))
@click.option("--seeds", type=int, default=3, show_default=True, help=(
    "Runs of each setting, with the file's seed and those that follow."))
@click.option("--test-seeds", type=int, default=10, show_default=True, help="Runs of the test.")
@click.option("--test-seed", type=int, metavar="K", help=(
    "The first seed of the test; no seed of tuning may be among them.  [the file's seed + 1000]"))
@click.option("--budget", metavar="KIND=NUMBER", help=(
    "What a whole run may spend, in place of iterations: samples, bytes (of an agent), seconds or simulated_seconds."))
@click.option("--metric", default="reward", show_default=True, metavar="COLUMN", help=(
    "The column of metrics.csv whose mean over the last tenth of a rung is the score, e.g. J or episode_return."))
@click.option("--minimise", is_flag=True, help="A smaller score is better, e.g. of critic_error.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time; by default one per core.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True,
              help="MPI processes of each run, launched with mpirun.")
@click.option("--dry-run", is_flag=True, help="List the settings and rungs with an estimate of time, and run none.")
@SET
@click.option("--out", type=click.Path(path_type=Path),
              help="Where it all goes; what has been run there is taken as it is.  [runs/FILE-tuning]")
def tune_command(file: Path, vary: tuple[str, ...], dry_run: bool, sets: tuple[str, ...], out: Path | None,
                 metric: str, minimise: bool, **arguments: Any) -> None:
    """Search for the best settings of the experiment FILE, and test them on fresh seeds beside the file's own.

    Settings are tried on a training budget: after each rung the best go on from their checkpoints, the others stay
    stopped. The best one then runs with seeds that no tuning has seen, and so do the file's own settings.

    Writes tuning.csv (every setting and rung), best.toml (the file with the best settings, for netac run), tuning.png,
    tuning.json, and the folder test, a comparison. The same command goes on with a tuning that was interrupted. Exit
    status 1 if runs of the test failed; settings that fail are left behind.
    """
    from netac.experiment import search
    from netac.experiment.study import together
    from netac.experiment.tune import tune
    out = out or Path("runs") / f"{file.stem}-tuning"
    varied = together(map(search.parse_vary, vary))
    if dry_run:
        from netac.experiment.dry_run import foretell_tuning
        ahead = foretell_tuning(file, varied, set=overrides(sets), out=out, **arguments)
        for setting in ahead.settings:
            click.echo(setting)
        for rung, (settings, iterations) in enumerate(ahead.rungs, start=1):
            click.echo(f"rung {rung}: {settings} settings to iteration {iterations:,}, {arguments['seeds']} seeds each")
        click.echo(f"{ahead.runs:,} runs, those of the test included: about {ahead.seconds:,.0f} s, "
                   f"{ahead.at_a_time} runs at a time")
        return
    found = tune(file, varied, metric=metric, minimise=minimise, set=overrides(sets), out=out, progress=True,
                 **arguments)
    from rich.console import Console

    from netac.results.tuning import BEST, PICTURE, RECORD, TABLE, TEST, format_tuning, told
    Console().print(format_tuning(found.rows, found.record))
    click.echo("\n".join(told(found.record)))
    click.echo(f"written: {', '.join(str(out / name) for name in (TABLE, BEST, PICTURE, RECORD, TEST))}")
    failed = [row for row in found.test.runs if row["status"] != "ok"]
    for row in failed:
        click.echo(f"netac: test, seed {row['seed']} failed: {row['error']}", err=True)
    if failed:
        raise SystemExit(1)
