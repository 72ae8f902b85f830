"""The command line: each command a few lines over the floors below."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import click

from netac.cli.compare import compare_command
from netac.cli.options import SET, overrides
from netac.cli.tune import tune_command
from netac.cli.watch import watch_command
from netac.comm.launch import TRACEBACK
from netac.utils import garbage
from netac.utils.errors import InputError
from netac.utils.progress import doing, note, telling


def _print_table(title: str, rows: list[tuple[str, str]]) -> None:
    """Two columns; long texts go on under their beginning."""
    formatter = click.HelpFormatter(width=max(100, len(title)))
    formatter.write(f"{title}\n")
    with formatter.indentation():
        formatter.write_dl(rows, col_max=40)
    click.echo(formatter.getvalue())


class _Commands(click.Group):
    """Commands that all take --traceback, as netac itself does."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command."""
        cmd.params.append(_traceback())
        super().add_command(cmd, name)


def _traceback() -> click.Option:
    """The option --traceback, which processes and workers that are started find in their environment."""
    def note(context: click.Context, option: click.Parameter, wanted: bool) -> None:
        if wanted:
            os.environ[TRACEBACK] = "1"

    return click.Option(["--traceback"], is_flag=True, is_eager=True, expose_value=False, callback=note, help=(
        "Tell errors with their whole tracebacks, those of your own environments and topologies, too."))


class _RunHelp(click.Command):
    """`netac run --help` documents every option of an experiment file."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from netac.experiment.options_help import sections
        for title, rows in sections():
            formatter.write_paragraph()
            formatter.write_text(title)
            with formatter.indentation():
                formatter.write_dl(rows or [("", "no options")])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="netac")
def cli() -> None:
    """Decentralized networked-agent reinforcement learning with consensus, one MPI process per agent."""


@cli.command("run", cls=_RunHelp)
@click.argument("file", type=click.Path(path_type=Path))
@SET
@click.option("--out", type=click.Path(path_type=Path),
              help="The run folder; by default runs/FILE-ALGORITHM-seedS, numbered if that is taken.")
@click.option("--resume", is_flag=True,
              help="Go on from the newest checkpoint in the run folder (its start if there is none).")
@click.option("--until", type=click.IntRange(1), metavar="K", help=(
    "Stop after iteration K, at the next row of metrics.csv, with a checkpoint; --resume goes on."))
@click.option("--verbose", is_flag=True, help="Say which process holds which agents.")
def run_command(file: Path, sets: tuple[str, ...], out: Path | None, resume: bool, until: int | None,
                verbose: bool) -> None:
    """Run the experiment FILE (TOML): alone all agents in one process, under mpirun -n p on p processes."""
    from netac.comm import launch
    with garbage.loading():
        from netac.experiment import config, run, run_folder
        comm = launch.communicator()
    source = launch.agree(comm, lambda: config.read(file, overrides(sets)))
    named = out is not None
    out = launch.agree(comm, lambda: out or run_folder.default_folder(source, resume))
    unused = config.ignored_options(source) if comm is None or comm.rank == 0 else []
    if unused:
        note(f"this algorithm has no use for {', '.join(unused)}")
    try:
        result = run.run(source, out=out, resume=resume, progress=True, verbose=verbose, until=until)
    except BaseException:
        if not named and not launch.is_follower():
            run_folder.give_back(out)
        raise
    if comm is None or comm.rank == 0:
        shown = ("algorithm", "env", "agents", "processes", "iterations", "stopped", "env_steps", "final_reward",
                 "episode_return", "efficient", "J", "consensus_error", "messages_per_agent", "bytes_per_agent",
                 "wall_seconds", "parameters_sha256")
        _print_table(str(out), [(key, _text(result.summary[key])) for key in shown
                                if result.summary.get(key) is not None])


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_text(each)}" for key, each in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


cli.add_command(compare_command)
cli.add_command(tune_command)
cli.add_command(watch_command)


@cli.command("graph")
@click.argument("spec")
@click.option("--agents", type=click.IntRange(1), help="Number of agents; an experiment file knows its own.")
@click.option("--steps", type=click.IntRange(1), help="Iterations to look at where the period is not known.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png",
              help="Draw the sequence of graphs and the disagreement curve.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE",
              help="A key of the experiment file, or an option of the topology, e.g. --set period=3.")
def graph_command(spec: str, agents: int | None, steps: int | None, plot: Path | None, sets: tuple[str, ...]) -> None:
    """Certify the topology SPEC: a built-in name, an experiment file, or a topology file.

    Exit status 2 if it does not hold (Assumptions 1 and 2 of Zeng et al.): weights that are not doubly stochastic, or
    graphs whose unions never connect the agents.
    """
    from netac import topology
    from netac.experiment import config, environment_graph
    from netac.utils.options import spelled_out
    folder, allowed, push_sum, options, experiment, asked = None, False, False, overrides(sets), None, None
    table: str | dict = spec
    if spec.endswith(".toml"):
        source = config.read(spec, options)
        experiment = source.experiment()
        table, folder, allowed, options = experiment.topology, source.folder, experiment.allow_disconnected, {}
        agents, push_sum = agents or experiment.agents, experiment.network.push_sum
        asked = partial(environment_graph.graph_of, experiment.model_copy(update={"agents": agents}), folder)
    if agents is None:
        raise InputError("how many agents?", key="--agents", valid="--agents N")
    if options:
        table = spelled_out(spec) | options
    with telling(), doing(f"loading the topology of {agents:,} agents"):
        loaded = topology.load(table, agents, folder=folder, push_sum=push_sum, neighbours=asked)
    for text in loaded.notes:
        note(text)
    with telling(), doing("certifying the topology"):
        certificate = topology.certify(loaded, steps)
    _print_table(f"{loaded.name}, weights {loaded.weights}", certificate.as_rows())
    if experiment is not None and experiment.network.conditions:
        from netac.experiment.network_certificate import under_conditions
        with telling(), doing("mixing under the network's conditions"):
            try:
                rows = under_conditions(experiment, loaded, folder)
            except InputError as error:
                raise source.located(error) from error.__cause__
        _print_table(f"[network]: {', '.join(key for key, _ in experiment.network.conditions)}", rows)
    if plot is not None:
        from netac.topology.drawing import draw
        with telling(), doing("drawing the topology"):
            draw(loaded, plot, steps, certificate)
        click.echo(f"written: {plot}")
    failures = certificate.problems + ([certificate.disconnected] if certificate.disconnected and not allowed else [])
    if failures:
        raise InputError("the topology does not hold: " + "; ".join(failures), file=spec, valid=certificate.remedy)
    if certificate.rehearsed is not None:
        click.echo("the weights hold on every graph; whether the graphs connect all agents is measured, not promised")
        return
    undecided = certificate.B is None and not certificate.disconnected
    click.echo("the certificate holds" + (" (disconnected, as allowed)" if certificate.disconnected else "")
               + (f", as far as {certificate.steps} iterations tell: give more --steps" if undecided else ""))


@cli.command("evaluate")
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option("--episodes", type=click.IntRange(1), default=10, show_default=True, help="Episodes to play.")
@click.option("--steps", type=click.IntRange(1),
              help="The most steps of an episode; by default all it has, 200 where the environment has no end.")
@click.option("--greedy", is_flag=True,
              help="Agents take their most probable action, or the mean, instead of drawing it.")
@click.option("--which", type=click.Choice(["last", "best"]), default="last", show_default=True,
              help="The policies that training ended with, or those that did best in its evaluations (evaluate_every).")
@click.option("--render", type=click.Path(path_type=Path), metavar="FILE.gif",
              help="Draw the first episode: as the environment draws itself; where it does not, who takes which "
                   "action, and a note says so.")
@click.option("--trust", is_flag=True,
              help="Run the code that the folder names, although this machine has not run it before.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE",
              help="Play in other games than those of training: an option of the environment, e.g. "
                   "--set env.training=false of a platoon, or the seed. May be given several times.")
def evaluate_command(run_dir: Path, episodes: int, steps: int, greedy: bool, which: str, render: Path | None,
                     trust: bool, sets: tuple[str, ...]) -> None:
    """Play the trained agents of RUN_DIR without learning; writes RUN_DIR/evaluation.json.

    A folder from elsewhere may name code, which is run only with --trust.
    """
    import json

    from netac.comm import launch
    from netac.experiment.evaluate import evaluate
    from netac.utils.files import atomic_write, refuse_link
    comm, written, changed = launch.communicator(), run_dir / "evaluation.json", overrides(sets)
    launch.agree(comm, lambda: refuse_link(written))
    if render is not None:
        from netac.results import animation
        launch.agree(comm, lambda: animation.check_place(render))
    found = evaluate(run_dir, episodes, steps, frames=render is not None, greedy=greedy, progress=True, which=which,
                     trust=trust, set=changed)
    if comm is None or comm.rank == 0:
        summary: dict = found.summary() | ({"set": changed} if changed else {})
        _print_table(str(run_dir), [(key, _text(value)) for key, value in summary.items() if value is not None])
        if found.ended is not None and steps is None and not found.ended.all():
            note(f"{(~found.ended).sum()} episodes had not ended after {summary['steps']:,} steps, at which they were "
                 "cut; --steps allows more")
        if render is not None:
            length = found.lengths[0]
            if found.frames:
                animation.film(found.frames, render)
            elif found.actions is not None:
                animation.animate(found.actions[0, :length], found.n_actions, found.rewards[0, :length], render)
            shown = len(found.frames) or min(length, animation.FRAMES)
            click.echo(f"written: {render}" + (f" (the first {shown} of {length} steps)" if shown < length else ""))
        atomic_write(written, json.dumps(summary, indent=1) + "\n")


@cli.command("plot")
@click.argument("folders", nargs=-1, required=True, metavar="RUN_DIR...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("curves.png"), show_default=True,
              help="Picture to write.")
@click.option("--columns", metavar="NAME,NAME,...", help="Columns of metrics.csv; by default those of interest.")
def plot_command(folders: tuple[Path, ...], out: Path, columns: str | None) -> None:
    """Draw the learning curves of finished runs; runs that differ in nothing but the seed become one line.

    Of folders that netac compare has written it draws the comparisons, below each other.
    """
    from netac.results.cells import RUNS
    from netac.results.comparison import load_comparison
    from netac.results.comparison_plots import plot_comparisons
    from netac.results.plots import plot_runs
    from netac.results.records import load_run
    compared = [folder for folder in folders if (folder / RUNS).is_dir()]
    if not compared:
        plot_runs([load_run(folder) for folder in folders], out, columns.split(",") if columns else None)
    elif columns or len(compared) < len(folders):
        raise InputError("is the folder of a comparison, which is drawn as netac compare draws it", file=compared[0],
                         valid="folders of comparisons alone and no --columns, or folders of runs alone")
    else:
        plot_comparisons([load_comparison(folder) for folder in folders], out)
    click.echo(f"written: {out}")


@cli.command("report")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True,
              help="Page to write.")
@click.option("--trust", is_flag=True,
              help="Run topologies' code that the folders name, although this machine has not run it before.")
def report_command(folders: tuple[Path, ...], out: Path, trust: bool) -> None:
    """Write one page of finished runs and comparisons: tables, curves, the graph over time, certificates, traffic.

    The page holds all it shows: it opens in a browser from the file system, without a network.
    """
    from netac.experiment.report.writing import write_report
    with telling():
        write_report(folders, out, trust)
    click.echo(f"written: {out}")


@cli.command("theory")
@click.argument("name")
@click.option("--quick", is_flag=True, help="The quick form, of seconds; the full one takes minutes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What all random numbers come from.")
@click.option("--jobs", type=click.IntRange(1), help="Processes that share the work; by default one per core.")
@click.option("--game", type=click.Path(path_type=Path), metavar="FILE.npz",
              help="A finite game of yours (P, r, xi, gamma: see netac run --help, finite-mdp), for experiments that "
                   "take one.")
@click.option("--out", type=click.Path(path_type=Path),
              help="Where claims.csv, tables, picture.png and report.md go.  [runs/theory/NAME]")
def theory_command(name: str, quick: bool, seed: int, jobs: int | None, game: Path | None, out: Path | None) -> None:
    """Put the papers' theorems to the test: the experiment NAME, as in `netac list theory`.

    It ends in tables, a picture, and a line for every claim: "holds" or "FAILS"; a claim that is known to be wrong is
    "refuted" if its counter-example reproduces. Exit status 1 if a claim fails.
    """
    from netac import theory
    from netac.comm import launch
    from netac.theory._report import show
    if launch.is_mpi_launch():
        raise InputError("is not for mpirun", key="netac theory", valid="--jobs, to share the work among processes")
    out = out or Path("runs") / "theory" / name
    finding = theory.run(name, quick=quick, seed=seed, jobs=jobs, game=theory.read_game(game) if game else None,
                         out=out, progress=True)
    show(finding)
    click.echo(f"written: {out}")
    if not finding.passes:
        raise SystemExit(1)


@cli.command("list")
@click.argument("what", required=False,
                type=click.Choice(["algorithms", "envs", "networks", "topologies", "weights", "conditions", "theory"]))
def list_command(what: str | None) -> None:
    """What there is: algorithms, envs, networks, topologies, weights, conditions of the network, theory experiments."""
    from netac import theory, topology
    from netac.experiment import network_table, schema
    from netac.utils import plugins

    def described(*packages: str) -> list[tuple[str, str]]:
        return [(name, _headline(f"{package}.{name.replace('-', '_')}"))
                for package in packages for name in plugins.module_names(package)]

    kinds = {"algorithms": lambda: described(*schema.ALGORITHMS), "envs": lambda: described(schema.ENVIRONMENTS),
             "networks": lambda: described(schema.NETWORKS),
             "topologies": lambda: [(name, topology.describe(name)) for name in topology.names()],
             "weights": lambda: [(name, topology.describe_weights(name)) for name in topology.weight_names()],
             "conditions": lambda: described(network_table.CONDITIONS),
             "theory": lambda: described(theory.PACKAGE)}
    for kind in [what] if what else kinds:
        _print_table(kind, kinds[kind]())


def _headline(module: str) -> str:
    """The first line of a module's docstring; the module, which may need what is not installed, is not loaded."""
    import ast
    from importlib.util import find_spec
    found = find_spec(module)
    assert found and found.origin, f"{module} is a file of netac"
    text = Path(found.origin).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


cli.params.append(_traceback())


def main() -> None:
    """Entry point: one message and a meaningful exit status for every failure."""
    from netac.comm import launch
    launch.ready()
    launch.begin()
    try:
        status = cli(standalone_mode=False) or 0
    except click.ClickException as error:
        if not launch.is_follower():
            error.show()
        status = error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):        # click makes ^C an Abort
        print("netac: interrupted; netac run goes on with --resume, netac compare and netac tune with the same "
              "command",
              file=sys.stderr)
        status = 130
    except SystemExit as ended:
        status = ended.code
    except BaseException as error:
        status = launch.end(error)
    status = status if launch.printed("netac: error") else status or 1
    if not status:
        launch.finished()
    garbage.no_more()
    sys.exit(status)
