"""Trained policies played again, without learning, in fresh episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from netac.comm import checkpoints, launch
from netac.comm.watchdog import Stalled, Watchdog, watched
from netac.envs import BatchedEnvironment, TabularEnvironment, has_costs
from netac.experiment import budget, config, elsewhere
from netac.experiment import trust as trusting
from netac.experiment.build import Parts, Setting, assemble, prepare
from netac.experiment.environment_graph import ground_of
from netac.experiment.load import Greedy
from netac.experiment.make_env import GamesSource, make_environment
from netac.experiment.measures import costs_of_episodes, exact_measures, measured_by
from netac.experiment.mixed_hosts import compare_hosts, permit
from netac.results.records import RunRecord, load_run
from netac.results.statistics import standard_error
from netac.sampling.chains import Chain
from netac.utils import memory
from netac.utils.errors import InputError, RunError, raised
from netac.utils.plugins import Factory
from netac.utils.progress import Progress, note, telling
from netac.utils.spaces import joint_space

if TYPE_CHECKING:                # loads torch
    from mpi4py import MPI

    from netac.experiment.neural_agents import PlayingAgents
    from netac.sampling.game import GameSampler
    from netac.sampling.tabular import TabularSampler

STREAMS = 2         # the first chain index of evaluation's random streams: none that training uses
AT_ONCE = 32        # games played side by side, at most
STEPS = 200         # of an episode in an environment whose episodes never end
LONGEST = 10_000    # of an episode in one whose episodes should
FRAMES = 500        # of a picture


@dataclass(frozen=True)
class Evaluation:
    """What trained agents reach, without observation noise.

    Attributes:
        rewards: (episodes, steps) team-mean rewards, 0 after an episode's end.
        lengths: (episodes,) steps of each episode.
        ended: (episodes,) bool, which ones came to their own end; None where the environment has none.
        actions: (episodes, steps, N) joint actions, 0 after an episode's end; None for action vectors.
        n_actions: the most actions an agent can choose from; 0 for action vectors.
        gamma: discount.
        greedy: whether agents took their most probable actions instead of drawing them.
        J: exact normalised objective of the policies where the model is known, else None.
        frames: pictures of the first episode, where they were asked for and the environment draws; else empty.
        iteration: how many iterations the agents have learned for.
        measured: what the environment measures of each episode, (episodes,) each; NaN of those that were cut.
        costs: (episodes, N) an agent's mean cost of the steps that it took part in; None where games have none.
    """

    rewards: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray | None
    actions: np.ndarray | None
    n_actions: int
    gamma: float
    greedy: bool = False
    J: float | None = None
    frames: tuple[np.ndarray, ...] = ()
    iteration: int = 0
    measured: Mapping[str, np.ndarray] = field(default_factory=dict)
    costs: np.ndarray | None = None

    @property
    def sums(self) -> np.ndarray:
        """(episodes,) plain sums of the team-mean rewards."""
        return self.rewards.sum(axis=1)

    def summary(self) -> dict[str, float | int | bool | None]:
        """Means over episodes with standard errors.

        `reward` is per step; `return` is (1 - gamma) x the discounted sum over the steps played; where episodes have an
        end of their own, `episode_return` is the plain sum, and `ended` says how many of them came to it; what the
        environment measures is of these, None where there are none.  Costs are all agents' mean and the largest one's.
        """
        sums, mean = self.sums, self.sums / self.lengths
        returns = (1 - self.gamma) * self.rewards @ self.gamma ** np.arange(self.rewards.shape[1])
        found: dict[str, float | int | bool | None] = {
            "iteration": self.iteration, "episodes": len(mean), "steps": int(self.lengths.max()),
            "greedy": self.greedy, "reward": float(mean.mean()), "reward_stderr": standard_error(mean),
            "return": float(returns.mean()), "return_stderr": standard_error(returns)}
        if self.ended is not None:
            found |= {"episode_return": float(sums.mean()), "episode_return_stderr": standard_error(sums),
                      "episode_length": float(self.lengths.mean()), "ended": int(self.ended.sum())}
            for name, values in self.measured.items():
                whole = values[self.ended]
                found |= {name: float(whole.mean()) if len(whole) else None, f"{name}_stderr": standard_error(whole)}
        for name, costs in ({} if self.costs is None else costs_of_episodes(self.costs)).items():
            found |= {name: float(costs.mean()), f"{name}_stderr": standard_error(costs)}
        return found if self.J is None else found | {"J": self.J}


def evaluate(run_dir: str | Path, episodes: int = 10, steps: int | None = None, frames: bool = False,
             greedy: bool = False, progress: bool = False, which: str = "last", trust: bool = False,
             set: Mapping[str, Any] | None = None) -> Evaluation:
    """Play the agents of a finished run for `episodes` episodes, each from the initial distribution.

    Under mpirun every process plays its own agents and gets the same answer; equal calls give equal numbers.

    Args:
        steps: the most steps of an episode; by default as many as it has, at most 10,000, and 200 where the environment
            has no end.
        frames: draw the first episode, at most its first 500 steps; pictures are on process 0 only.  There are none
            where the environment does not draw, which is said if its actions can be drawn instead.
        greedy: agents take their most probable action, or the mean of action vectors.
        progress: show progress on process 0 of a terminal.
        which: "last", the policies that training ended with, or "best", those that did best in an evaluation during
            training.
        trust: run whatever code the folder names; by default only what `netac.experiment.trust` knows.
        set: play in other games than those of training: overrides of the environment's options, such as
            {"env.training": False} of a platoon, or of the seed.

    Raises:
        InputError: `run_dir` is not the folder of a finished run, it names code that this machine does not know, it has
            not kept the best policies, neither its environment nor its actions can be drawn, or its agents cannot play
            in the environment that `set` makes.
        RunError: the environment fails.
        KeyboardInterrupt: under mpirun it ends the whole launch, whichever process it reached.
    """
    comm = launch.communicator()
    try:
        record, gate = launch.agree(comm, lambda: _opened(run_dir, trust))
        source = launch.agree(comm, lambda: elsewhere.changed(record, set or {}))
        with gate.asked(), watched(comm) as dog:
            return _evaluate(record, source, Wanted(episodes, steps, greedy, frames), which, progress, comm, dog)
    except Stalled as error:
        raise RunError(str(error)) from error
    except Exception:
        raise
    except KeyboardInterrupt as error:
        if comm is not None:
            launch.abort(error, comm, None)
        raise
    except BaseException as error:      # of a user's environment
        raise RunError(f"the environment fails: {raised(error)}") from error


def _opened(run_dir: str | Path, trust: bool) -> tuple[RunRecord, trusting.Gate]:
    """A run folder, and what of the code that it names may be run."""
    record = load_run(run_dir)
    return record, trusting.gate(record.folder, record.experiment, trust)


def _evaluate(record: RunRecord, source: config.Source, wanted: Wanted, which: str, progress: bool,
              comm: MPI.Intracomm | None, dog: Watchdog) -> Evaluation:
    root = comm is None or comm.rank == 0
    experiment = source.experiment()
    if experiment.patience is not None:
        dog.patience = experiment.patience
    with telling(progress and root):
        setting = prepare(experiment, processes=comm.size if comm else 1)
    mixed = compare_hosts(comm)
    launch.agree(comm, lambda: permit(setting, mixed))
    kept = launch.agree(comm, lambda: checkpoints.policies(
        record.folder / "checkpoints", record.iterations, which))
    elsewhere.refuse_misfits(setting, kept, record.folder)
    stage = Stage(setting, wanted, comm)
    local = stage.agents
    own = {name: rows[local.start:local.stop] for name, rows in kept.items() if name.startswith("rows_")}
    with Progress(wanted.episodes, progress and (comm is None or comm.rank == 0), "episodes") as bar:
        found = stage.play(kept["parameters"][local.start:local.stop], own, bar)
    stage.close()
    exact = None if setting.mdp is None or wanted.greedy else exact_measures(setting, kept["parameters"])["J"]
    found = replace(found, J=exact, iteration=int(kept["progress"][0]))
    return found if comm is None else replace(comm.bcast(replace(found, frames=()), root=0), frames=found.frames)


@dataclass(frozen=True)
class Wanted:
    """What shall be played: `episodes` of at most `steps`, greedily or not, the first one with pictures or without.

    Attributes:
        streams: the first chain index of the random streams.
        keys: what the numbers of episodes and steps are called in messages.
    """

    episodes: int
    steps: int | None = None
    greedy: bool = False
    frames: bool = False
    streams: int = STREAMS
    keys: tuple[str, str] = ("--episodes", "--steps")


class Stage:
    """Where the agents of this process are played without learning, in games of their own.

    Args:
        setting: the experiment.
        wanted: what shall be played, the same at every `play`.
        comm: the launch's communicator, or None.

    Attributes:
        agents: those of this process.
        rows: names of what each agent keeps that playing needs.

    Raises:
        InputError: pictures are wanted, and neither the environment nor the actions can be drawn.
    """

    def __init__(self, setting: Setting, wanted: Wanted, comm: MPI.Intracomm | None):
        self._wanted, self._play = wanted, _play_chain
        refuse_long(setting, wanted)
        if setting.plays_games:
            self._play = _play_games
            rounds = -(-wanted.episodes // AT_ONCE)
            setting = to_play(setting, -(-wanted.episodes // rounds), wanted.frames)
        self._parts = parts = assemble(setting, comm, play=True)
        if wanted.greedy:
            sampler: Any = parts.sampler
            sampler.policy = Greedy(sampler.policy)
        if setting.plays_games and wanted.frames and not _ground(setting).endless and not _draws(
                _games(parts).environment):
            launch.agree(comm, lambda: _draw_actions(_most_actions(parts)))
        self.agents, self.rows = parts.placement.local, tuple(f"rows_{name}" for name in parts.sampler.rows)

    def play(self, flat: np.ndarray, rows: Mapping[str, np.ndarray], bar: Progress) -> Evaluation:
        """The agents with parameters `flat` (n, D); equal calls give equal answers, whole on process 0.

        Args:
            rows: what else each agent keeps, (n, K) each, under the names of a checkpoint: the sampler takes what it
                needs.
        """
        self._parts.agents.parameters.flat[:] = flat
        for name, own in self._parts.sampler.rows.items():
            own[:] = rows[f"rows_{name}"]
        return self._play(self._parts, self._wanted, bar)

    def close(self) -> None:
        """Give back what the games hold."""
        self._parts.sampler.close()


def refuse_long(setting: Setting, wanted: Wanted) -> None:
    """Refuse to play more than would fit into memory.

    Raises:
        InputError: `episodes` or `steps` would have to be smaller.
    """
    games = setting.plays_games
    endless = not games or _ground(setting).endless
    played = _ground(setting).probe if games else setting.environment
    budget.refuse_played(played, endless, wanted.episodes, wanted.steps or STEPS, wanted.keys)


def _play_chain(parts: Parts, wanted: Wanted, bar: Progress) -> Evaluation:
    sampler, setting = cast("TabularSampler", parts.sampler), parts.setting
    env, steps = cast(TabularEnvironment, setting.environment), wanted.steps or STEPS
    feed = sampler.feed(wanted.streams, Chain(setting.experiment.seed, wanted.streams, env.initial))
    rewards, actions = [], []
    for episode in range(wanted.episodes):
        if episode and env.states > 1:
            feed.chain.begin()
        states, next_states, joint = sampler.play(parts.agents.parameters.theta, feed, steps)
        rewards.append(env.rewards(states, joint, next_states, range(1))[1])
        actions.append(joint.T)
        bar.show(episode + 1)
    return Evaluation(np.array(rewards), np.full(wanted.episodes, steps), None, np.array(actions), env.actions,
                      setting.settings.gamma, wanted.greedy)


def _play_games(parts: Parts, wanted: Wanted, bar: Progress) -> Evaluation:
    sampler, episodes, endless = parts.sampler, wanted.episodes, _ground(parts.setting).endless
    n_actions = _most_actions(parts)
    longest = wanted.steps or (STEPS if endless else LONGEST)
    played = [_play_together(parts, wanted.streams + k, longest, wanted.frames and not k, bar, k * sampler.games,
                             wanted.keys[1])
              for k in range(-(-episodes // AT_ONCE))]
    steps = max(len(each.rewards) for each in played)
    rewards, actions = (np.concatenate([_filled(getattr(each, name), steps) for each in played], axis=1).swapaxes(0, 1)
                        for name in ("rewards", "actions"))
    lengths, ended = (np.concatenate([getattr(each, name) for each in played])[:episodes]
                      for name in ("lengths", "ended"))
    measured = {name: np.concatenate([each.measured[name] for each in played])[:episodes]
                for name in played[0].measured}
    costs = None if played[0].costs is None else np.concatenate([each.costs for each in played])[:episodes]
    return Evaluation(rewards[:episodes], lengths, None if endless else ended,
                      actions[:episodes] if n_actions else None, n_actions, parts.setting.settings.gamma,
                      wanted.greedy, frames=tuple(played[0].pictures), measured=measured, costs=costs)


def _ground(setting: Setting) -> GamesSource:
    """Where networks play."""
    return cast("PlayingAgents", setting.model).ground


def _games(parts: Parts) -> GameSampler:
    """The sampler of networks."""
    return cast("GameSampler", parts.sampler)


def _most_actions(parts: Parts) -> int:
    """The most actions an agent of the games can choose from; 0 where somebody's are vectors."""
    return joint_space(_games(parts).environment.actions).n_actions


def _draw_actions(n_actions: int) -> None:
    """Say that the picture shows actions, of which an agent has at most so many; InputError where some are vectors."""
    if not n_actions:
        raise InputError("the environment has no pictures, and action vectors cannot be drawn", key="env",
                         valid='one with render(game), or of PettingZoo one that takes render_mode = "rgb_array"')
    note('the environment has no pictures (it takes no render_mode = "rgb_array", or has no '
         "render(game)): the picture shows who takes which action")


def _draws(environment: BatchedEnvironment) -> bool:
    return hasattr(environment, "render") and getattr(environment, "drawable", True)


@dataclass(frozen=True)
class _Round:
    """One episode of each of E games, T steps: team rewards (T, E), actions (T, E, N) or (T, E, N, size), pictures,
    what the environment measures (E,) each, and mean costs of a step (E, N)."""

    rewards: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray
    actions: np.ndarray
    pictures: list[np.ndarray]
    measured: dict[str, np.ndarray]
    costs: np.ndarray | None


def _play_together(parts: Parts, chain: int, steps: int, frames: bool, bar: Progress, before: int,
                   key: str) -> _Round:
    """One episode of each game, at most `steps` long, which `key` says; `before`: how many were played already."""
    sampler = _games(parts)
    environment = sampler.environment
    feed = sampler.feed(chain, environment)
    bootstrap_mask, lengths = np.ones(sampler.games, dtype=bool), np.zeros(sampler.games, dtype=np.int64)
    rewards: list[np.ndarray] = []
    actions: list[np.ndarray] = []
    pictures: list[np.ndarray] = []
    measured = {name: np.full(sampler.games, np.nan) for name in measured_by(environment)}
    charged = np.zeros((2, parts.placement.agents, sampler.games))          # costs, and steps that agents took part in
    draw = frames and _draws(environment) and parts.placement.rank == 0
    while bootstrap_mask.any() and len(rewards) < steps:
        if len(rewards).bit_count() == 1:               # twice as many would then be kept
            kept = 6 * len(rewards) * (rewards[0].nbytes + actions[0].nbytes)
            memory.refuse({"what is played": kept}, key, steps)
        if draw and bootstrap_mask[0] and len(pictures) < FRAMES:
            pictures.append(environment.render(0))
        active = feed.view.active * bootstrap_mask
        joint, outcome = sampler.play(parts.agents.parameters.theta, feed)
        if outcome.costs is not None:
            charged += outcome.costs * active, active
        rewards.append(outcome.team * bootstrap_mask)
        actions.append((joint.T * bootstrap_mask[:, None]) if joint.ndim == 2 else joint.swapaxes(0, 1))
        lengths += bootstrap_mask
        for name, values in outcome.measured.items():
            np.copyto(measured[name], values, where=bootstrap_mask & outcome.done)
        bootstrap_mask &= ~outcome.done
        bar.show(before + int((~bootstrap_mask).sum()), f"step {len(rewards)}")
    return _Round(np.array(rewards), lengths, ~bootstrap_mask, np.array(actions), pictures, measured,
                  (charged[0] / np.maximum(charged[1], 1)).T if has_costs(environment) else None)


def _filled(array: np.ndarray, length: int) -> np.ndarray:
    """With zeros up to `length` rows."""
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])


def to_play(setting: Setting, games: int, frames: bool = False) -> Setting:
    """The setting of a run, as it was prepared, to play so many games side by side: with rewards as they are.

    Args:
        frames: give PettingZoo's option for pictures to the environment, if it takes it.
    """
    experiment = setting.experiment
    ground = _drawable(setting) if frames else _ground(setting)
    model: Any = cast("PlayingAgents", setting.model).to_play(replace(ground, games=games))
    experiment = experiment.model_copy(update={"envs": games, "normalise": model.normalise})
    return replace(setting, experiment=experiment, model=model)


def _drawable(setting: Setting) -> GamesSource:
    """Where the agents play, made anew to draw if it is an environment that knows how to be asked for that."""
    experiment, env, asked = setting.experiment, setting.experiment.env, {"render_mode": "rgb_array"}
    if not isinstance(env, Factory) and "render_mode" not in type(env.settings).model_fields:
        return _ground(setting)
    drawing = (env.model_copy(update={"kwargs": env.kwargs | asked}) if isinstance(env, Factory)
               else replace(env, settings=env.settings.model_copy(update=asked)))
    try:
        return ground_of(make_environment(drawing, experiment.agents, experiment.envs), experiment)
    except InputError:               # it knows no such option: perhaps it draws without
        return _ground(setting)
