"""`netac compare`."""

from __future__ import annotations

from pathlib import Path

import click

from netac.cli.options import SET, overrides

WRITTEN = ("comparison.csv", "comparison_runs.csv", "comparison_pairs.csv", "comparison.png", "comparison_profiles.png")


@click.command("compare")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--algorithms", metavar="NAME,NAME,...", help="Short for --vary algorithm=NAME,NAME,...")
@click.option("--vary", "vary", multiple=True, metavar="KEY=VALUE,VALUE,...", help=(
    "Values of a key of the file, e.g. topology=ring,complete,graphs/gossip.py or algorithm.actor_step=0.02,0.05. "
    "Given several times: every combination."))
@click.option("--seeds", type=click.IntRange(1), help="Runs of each cell.  [as [study] says, or 10]")
@click.option("--budget", metavar="KIND=NUMBER", help=(
    "What every run may spend, in place of iterations: samples, bytes (of an agent), seconds or simulated_seconds."))
@click.option("--jobs", type=click.IntRange(1), help="Runs at a time; by default one per core.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True,
              help="MPI processes of each run, launched with mpirun.")
@click.option("--metric", default="reward", show_default=True, metavar="COLUMN",
              help="The column of metrics.csv that the curves show, e.g. J.")
@click.option("--export", type=click.Choice(["marl-eval"]), help="Write the comparison for other tools, too.")
@click.option("--dry-run", is_flag=True, help="List the cells with an estimate of their time, and run none.")
@click.option("--slurm", is_flag=True, help="Run none, but write slurm.sh, an array of tasks with one run each.")
@click.option("--only", type=click.IntRange(0), metavar="K", help="Perform run K alone, counted from 0: a task's.")
@click.option("--collect", is_flag=True, help="Perform none: put together the runs that have finished.")
@SET
@click.option("--out", type=click.Path(path_type=Path),
              help="Where runs, tables and picture go; finished runs found there are kept.  [runs/FILE-comparison]")
def compare_command(file: Path, algorithms: str | None, vary: tuple[str, ...], seeds: int | None, budget: str | None,
                    jobs: int | None, processes: int, metric: str, export: str | None, dry_run: bool, slurm: bool,
                    only: int | None, collect: bool, sets: tuple[str, ...], out: Path | None) -> None:
    """Compare algorithms, or any settings, over seeds: prints a table, writes comparison.csv, comparison_runs.csv,
    comparison_pairs.csv and pictures.

    What varies is said by --algorithms and --vary, or by a table [study] in the file. Numbers are interquartile means
    with 95 % intervals. An interrupted comparison goes on where it was; runs that failed are reported (exit status 1)
    and tried again next time. Under mpirun the runs follow one another on all processes, and one that fails ends the
    launch.
    """
    from netac.comm import launch
    from netac.experiment import study
    from netac.experiment.compare import compare
    from netac.results.cells import of_row
    from netac.results.comparison import format_table
    out = out or Path("runs") / f"{file.stem}-comparison"
    names = None if algorithms is None else [name.strip() for name in algorithms.split(",") if name.strip()]
    varied = study.together(map(study.parse_vary, vary))
    if dry_run:
        from netac.experiment.dry_run import foretell
        ahead = foretell(file, names, seeds, vary=varied, budget=budget, jobs=jobs, processes=processes,
                         set=overrides(sets), out=out)
        for row in ahead.rows:
            click.echo(f"{row['cell']}: {row['runs left']} runs to do of {row['iterations']:,} iterations, "
                       f"{row['samples']:,.0f} samples, {row['bytes'] / 1e3:,.0f} kB an agent, {row['seconds']:,.1f} s")
        click.echo(f"about {ahead.seconds:,.0f} s, {ahead.at_a_time} runs at a time")
        return
    if slurm:
        from netac.experiment.slurm import asked_for
        script = asked_for(file, names, vary, seeds, budget, processes, sets, out)
        click.echo(f"written: {script}\nsbatch {script}")
        return
    found = compare(file, names, seeds, vary=varied, budget=budget, jobs=jobs, processes=processes,
                    set=overrides(sets), out=out, metric=metric, only=only, collect=collect, progress=True)
    comm = launch.communicator()
    if comm is None or comm.rank == 0:
        if only is None:
            from rich.console import Console
            Console().print(format_table(found))
            written = [out / name for name in WRITTEN if (out / name).exists()]
            if export:
                from netac.results import marl_eval
                written.append(marl_eval.write(found.shown, out))
            click.echo(f"written: {', '.join(map(str, written))}")
        failed = [row for row in found.runs if row["status"] != "ok"]
        for row in failed:
            told = ", ".join(filter(None, map(str, of_row(row).values())))
            click.echo(f"netac: {told}, seed {row['seed']} failed: {row['error']}", err=True)
        if failed:
            raise SystemExit(1)
