"""One experiment from file to run folder: `run` for Python users and the command line, on one process or many."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from netac.comm import launch
from netac.comm.placement import Placement
from netac.comm.watchdog import Stalled, Watchdog, watched
from netac.experiment import budget, config, fingerprint
from netac.experiment.build import Parts, Setting, assemble, prepare
from netac.experiment.description import by_name, columns_of
from netac.experiment.listening import Callback, Listener, Moment, refuse_unfit
from netac.experiment.measures import refuse_bad_numbers, refuse_taken_names
from netac.experiment.mixed_hosts import compare_hosts, compare_networks, permit
from netac.experiment.policy_watch import PolicyWatch
from netac.experiment.recorder import Recorder
from netac.experiment.run_folder import checkpoint_to_resume, open_folder
from netac.experiment.run_result import RunResult, read_result
from netac.utils import garbage
from netac.utils.errors import InputError, NetacError, RunError, out_of_memory, raised
from netac.utils.progress import Progress, doing, note, telling, told_at_first
from netac.utils.pulse import pulse

if TYPE_CHECKING:
    from mpi4py import MPI


def run(experiment: str | Path | Mapping[str, Any] | config.Source, *, set: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None, out: str | Path | None = None, resume: bool = False,
        progress: bool = False, verbose: bool = False, until: int | None = None,
        on_iteration: Callback | None = None, on_evaluation: Callback | None = None) -> RunResult:
    """Run an experiment; under mpirun every process calls this and gets the same result.

    A run that is stopped ends with a checkpoint and a summary that says so, and goes on with `resume` as if it had not
    been stopped.

    Args:
        experiment: an experiment file, or its tables as a dict.
        set, overrides: either of them: overrides {"algorithm.name": "dac"}.
        out: the run folder; must not hold another run.  None: nothing is written.
        resume: go on from the newest checkpoint in `out`, or from the start if there is none.
        progress: show progress on process 0 of a terminal.
        verbose: say which process holds which agents.
        until: stop after so many iterations, at the next row of metrics.csv.
        on_iteration: called on process 0 after every iteration with a `Moment`; True stops the run, at the next row of
            metrics.csv.
        on_evaluation: the same after every evaluation (evaluate_every).

    Raises:
        InputError: the experiment is not valid, or `out` cannot be used.
        RunError: a failure while running, e.g. a parameter that is not finite.
        KeyboardInterrupt: under mpirun it ends the whole launch, whichever process it reached.
    """
    comm = launch.communicator()
    folder = Path(out) if out is not None else None
    try:
        launch.clear_claim(comm, folder)
        with watched(comm) as dog:
            return _run(experiment, config.one_of(set, overrides), folder, resume, progress, verbose, comm, dog, until,
                        on_iteration, on_evaluation)
    except BaseException as caught:
        error = in_words_of_run(caught)
        if comm is not None and not getattr(error, "told_by_root", False):
            launch.abort(error, comm, folder if folder and folder.is_dir() else None,
                         patience=0.5 if getattr(error, "hearsay", False) else 0.0)
        if error is caught:
            raise
        raise error from caught


def in_words_of_run(caught: BaseException) -> BaseException:
    """What a run ends with: what was raised, or a RunError where a user's code raised what is no error, as SystemExit,
    or patience was over."""
    if isinstance(caught, Stalled):
        return RunError(str(caught))
    return caught if isinstance(caught, Exception | KeyboardInterrupt) else RunError(raised(caught))


def _run(experiment: str | Path | Mapping[str, Any] | config.Source, overrides: dict, folder: Path | None, resume: bool,
         progress: bool, verbose: bool, comm: MPI.Intracomm | None, dog: Watchdog, until: int | None,
         on_iteration: Callback | None, on_evaluation: Callback | None) -> RunResult:
    root = comm is None or comm.rank == 0
    mixed = compare_hosts(comm)
    with ExitStack() as held:
        known: list[Setting] = []

        def begin() -> tuple[config.Experiment, bool, int | None, bool]:
            refuse_unfit(until, on_iteration=on_iteration, on_evaluation=on_evaluation)
            source = experiment if isinstance(experiment, config.Source) else config.read(experiment, overrides)
            if (patience := source.experiment().patience) is not None:
                dog.patience = patience                      # before users' code runs
            setting = checked_setting(source, comm)
            permit(setting, mixed)
            known.append(setting)
            done = folder is not None and open_folder(folder, setting, resume, held, until)
            return setting.experiment, done, until, bool(on_iteration or on_evaluation)

        with telling(progress and root):
            complete, done, last, hears = launch.agree(comm, begin)
        if complete.patience is not None:
            dog.patience = complete.patience
        setting = known[0] if known else prepare(complete, processes=comm.size if comm else 1)
        if done:
            return launch.agree(comm, lambda: read_result(cast(Path, folder), columns_of(setting.layout)))
        if setting.plays_games:
            compare_networks(comm)
        with telling(progress and root), doing(f"making {complete.agents:,} agents"):
            parts = assemble(setting, comm)
        dog.describe = parts.placement.describe
        launch.announce(comm, parts.placement.describe, verbose)
        if progress and root:
            introduce(setting)
        with telling(progress and root):
            result: Any = iterate(parts, folder, resume, Progress(complete.iterations, progress and root), root,
                                  Listener(comm, last, hears, on_iteration, on_evaluation))
    return result if comm is None else comm.bcast(result, root=0)


def introduce(setting: Setting) -> None:
    """Tell on standard error what the agents are made of, and what there is to know of the experiment."""
    for text in setting.notes:
        note(text)
    budget.warn(setting.sizes)
    if made_of := setting.model.describe():
        print(made_of, file=sys.stderr, flush=True)


def checked_setting(source: config.Source, comm: MPI.Intracomm | None = None, algorithm: str | None = None,
                    compared: Sequence[str] = (), processes: int = 1) -> Setting:
    """The experiment with everything checked that can be before it runs, its topology's certificate included."""
    from netac.topology import certify
    experiment = source.experiment(algorithm, compared)
    try:
        if experiment.tensorboard:
            from netac.results import tensorboard
            tensorboard.require()
        Placement(experiment.agents, comm.size if comm else processes)
        setting = prepare(experiment, source.folder, comm.size if comm else processes)
        if setting.plays_games:
            refuse_taken_names(getattr(setting.environment, "probe", None))
        if check := getattr(setting.algorithm, "check", None):
            check(setting.settings, experiment.agents)
        if experiment.evaluate_every:
            from netac.experiment.evaluate import refuse_long
            from netac.experiment.periodic_evaluation import wanted
            refuse_long(setting, wanted(experiment))
        with doing("certifying the topology"):
            certificate = certify(setting.topology, spectrum=False)
        if certificate.problems:
            raise InputError("the topology does not hold: " + "; ".join(certificate.problems), key="topology",
                             valid=certificate.remedy)
        if certificate.disconnected and not experiment.allow_disconnected:
            other = "a topology whose unions are connected" if certificate.rehearsed is None else "a larger radius"
            raise InputError(f"the topology does not hold: {certificate.disconnected}", key="topology",
                             valid=f"{other}, or allow_disconnected = true if it is meant")
        if getattr(setting.model.needs, "mutual", False) and certificate.messages[1] != 2 * certificate.edges[1]:
            raise InputError(f"{experiment.algorithm.name} keeps a dual variable for every edge, and here are edges on "
                             "which only one end hears the other", key="topology",
                             found=setting.topology.spec.get("path", setting.topology.name), valid=(
                                 'an undirected topology, as "exponential", or algorithm.name = "cppo"'))
        if certificate.note:
            told = (*setting.topology.notes, certificate.note)
            setting = replace(setting, topology=replace(setting.topology, notes=told))
        return _with_conditions(setting, comm.size if comm else processes)
    except InputError as error:
        raise source.located(error) from error.__cause__


def _with_conditions(setting: Setting, processes: int) -> Setting:
    """The setting with what a user should know of the network's conditions, and what these take.

    They are made here to see whether they can be; a launch makes them again.
    """
    table = setting.experiment.network
    if setting.model.has_trainer or not table.conditions:
        unused = ("a trainer's messages have no conditions: [network] has no effect",) * bool(table.conditions)
        return replace(setting, network_notes=unused)
    made = table.make(setting.topology, setting.experiment.iterations)
    notes = tuple(dict.fromkeys(note for condition in made for note in condition.notes))
    return replace(setting, network_notes=notes, sizes=budget.with_conditions(setting, made, processes))


def iterate(parts: Parts, folder: Path | None, resume: bool, progress: Progress, root: bool,
            listener: Listener | None = None) -> RunResult | None:
    """Iterate, log, checkpoint; the result on process 0, None elsewhere."""
    listener = listener or Listener()
    setting, comm, x = parts.setting, parts.comm, parts.agents.parameters
    experiment, T = setting.experiment, setting.experiment.iterations
    fingerprint.compare_processes(comm, setting.marks, parts.placement.describe)
    recorder = Recorder(parts, folder if root else None)
    start = recorder.restore(launch.agree(comm, lambda: checkpoint_to_resume(folder, resume, setting)))
    if start and root and not parts.sampler.resumable:
        note("the environment cannot be saved: its games begin anew, and the resumed run differs from an uninterrupted "
             "one")
    step = setting.algorithm.iterations(parts.agents, parts.sampler, parts.network, setting.settings, range(start, T))
    step, columns = told_at_first(step, "the first iteration"), columns_of(setting.layout)
    log_every, checkpoint_every = experiment.log_every, experiment.checkpoint_every
    rewards, agents, t, done = parts.sampler.tally.rewards, parts.placement.local, start, start
    who = None if len(agents) == experiment.agents else agents
    watch = PolicyWatch(parts)
    # What is not finite is found by `refuse_bad_numbers`, so NumPy need not warn of it.
    with progress, recorder, garbage.iterating(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if start == 0:
            recorder.log(0)
        try:
            if start == 0:
                listener.evaluation(Moment(0, T, folder, recorder.evaluate(0)))
            for t in range(start, start if listener.reached(start) else T):
                pulse.iteration = t
                logged = (t + 1) % log_every == 0 or t + 1 == T
                if logged:
                    watch.before()
                parts.begin(t)
                next(step)
                refuse_bad_numbers(x.flat, rewards, x.layout, agents, t)
                recorder.add(t)
                done, row = t + 1, None
                if logged:
                    row = recorder.log(done)
                    watch.after(done)
                    progress.show(done, recorder.shown)
                if listener.on_iteration:
                    listener.iteration(Moment(done, T, folder, *((row[0], by_name(row[1], columns)) if row else ())))
                listener.evaluation(Moment(done, T, folder, recorder.evaluate(done)))
                stops = logged and done < T and listener.stops(done)
                if done % checkpoint_every == 0 or done == T or stops:
                    recorder.checkpoint(done)
                if stops:
                    break
        except RunError as error:
            if error.iteration is not None:
                raise
            raise RunError(error.cause, agent=who if error.agent is None else error.agent, iteration=t) from error
        except (NetacError, KeyboardInterrupt):
            raise
        except BaseException as error:     # a user's environment may do anything
            cause = error.__cause__ if isinstance(error.__cause__, StopIteration) else error      # from the generator
            raise RunError(out_of_memory(cause) or raised(cause), agent=who, iteration=t) from cause
        parts.network.close()
        parts.sampler.close()
        return recorder.result(done)
