"""Trained policies played again, without learning, in fresh episodes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from netac import config
from netac.build import Parts, Setting, assemble, prepare
from netac.environments import GamesSource, make_environment
from netac.envs import BatchedEnvironment
from netac.errors import InputError, RunError
from netac.measures import exact_measures
from netac.processes import checkpoints, launch
from netac.processes.chains import Chain
from netac.progress import Progress
from netac.results.runs import EXPERIMENT, load_run
from netac.trained import Greedy

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
        kinds: the most actions an agent can choose from; 0 for action vectors.
        gamma: discount.
        greedy: whether agents took their most probable actions instead of drawing them.
        J: exact normalised objective of the policies where the model is known, else None.
        frames: pictures of the first episode, where they were asked for and the environment draws; else empty.
    """

    rewards: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray | None
    actions: np.ndarray | None
    kinds: int
    gamma: float
    greedy: bool = False
    J: float | None = None
    frames: tuple[np.ndarray, ...] = ()

    def summary(self) -> dict[str, float | int | bool]:
        """Means over episodes with standard errors.

        `reward` is per step; `return` is (1 - gamma) x the discounted sum over the steps played; where episodes have an end
        of their own, `episode_return` is the plain sum, and `ended` says how many of them came to it.
        """
        sums = self.rewards.sum(axis=1)
        mean = sums / self.lengths
        returns = (1 - self.gamma) * self.rewards @ self.gamma ** np.arange(self.rewards.shape[1])
        found = {"episodes": len(mean), "steps": int(self.lengths.max()), "greedy": self.greedy,
                 "reward": float(mean.mean()), "reward_stderr": _stderr(mean),
                 "return": float(returns.mean()), "return_stderr": _stderr(returns)}
        if self.ended is not None:
            found |= {"episode_return": float(sums.mean()), "episode_return_stderr": _stderr(sums),
                      "episode_length": float(self.lengths.mean()), "ended": int(self.ended.sum())}
        return found if self.J is None else found | {"J": self.J}


def _stderr(x: np.ndarray) -> float:
    return float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0


def evaluate(run_dir: str | Path, episodes: int = 10, steps: int | None = None, frames: bool = False,
             greedy: bool = False, progress: bool = False) -> Evaluation:
    """Play the agents of a finished run for `episodes` episodes, each from the initial distribution.

    Under mpirun every process plays its own agents and gets the same answer; equal calls give equal numbers.

    Args:
        steps: the most steps of an episode; by default as many as it has, at most 10,000, and 200 where the environment has
            no end.
        frames: draw the first episode, at most its first 500 steps; pictures are on process 0 only.  There are none where
            the environment does not draw, which is said if its actions can be drawn instead.
        greedy: agents take their most probable action, or the mean of action vectors.
        progress: show progress on process 0 of a terminal.

    Raises:
        InputError: `run_dir` is not the folder of a finished run, or neither its environment nor its actions can be drawn.
        RunError: the environment fails.
        KeyboardInterrupt: under mpirun it ends the whole launch, whichever process it reached.
    """
    comm = launch.communicator()
    try:
        return _evaluate(run_dir, episodes, steps, frames, greedy, progress, comm)
    except SystemExit as error:      # of a user's environment
        raise RunError(f"the environment fails: SystemExit: {error}") from error
    except KeyboardInterrupt as error:
        if comm is not None:
            launch.abort(error, comm, None)
        raise


def _evaluate(run_dir: str | Path, episodes: int, steps: int | None, frames: bool, greedy: bool, progress: bool,
              comm) -> Evaluation:
    record = launch.agree(comm, lambda: load_run(run_dir))
    setting = prepare(config.read(record.folder / EXPERIMENT).experiment())
    kept = launch.agree(comm, lambda: checkpoints.final(record.folder / "checkpoints", setting.experiment.iterations))
    play = _play_games if setting.plays_games else _play_chain
    with Progress(episodes, progress and (comm is None or comm.rank == 0), "episodes") as bar:
        return play(setting, kept, episodes, steps, frames, greedy, bar, comm)


def _begin(parts: Parts, kept: dict[str, np.ndarray], greedy: bool) -> None:
    """The trained agents in the place of the new ones."""
    local = parts.placement.local
    parts.agents.parameters.flat[:] = kept["parameters"][local.start:local.stop]
    if greedy:
        parts.world.policy = Greedy(parts.world.policy)


def _play_chain(setting: Setting, kept: dict[str, np.ndarray], episodes: int, steps: int | None, frames: bool,
                greedy: bool, bar: Progress, comm) -> Evaluation:
    parts = assemble(setting, comm)
    _begin(parts, kept, greedy)
    world, env, steps = parts.world, setting.environment, steps or STEPS
    feed = world.feeds[0] = world.feed(STREAMS, Chain(setting.experiment.seed, STREAMS, env.initial))
    rewards, actions = [], []
    for episode in range(episodes):
        if episode and env.states > 1:
            feed.chain.begin()
        states, next_states, joint = world.play(parts.agents.parameters.theta, steps)
        rewards.append(env.rewards(states, joint, next_states, range(1))[1])
        actions.append(joint.T)
        bar.show(episode + 1)
    world.close()
    J = None if setting.mdp is None or greedy else exact_measures(setting, kept["parameters"])["J"]
    return Evaluation(np.array(rewards), np.full(episodes, steps), None, np.array(actions), env.actions,
                      setting.settings.gamma, greedy, J)


def _play_games(setting: Setting, kept: dict[str, np.ndarray], episodes: int, steps: int | None, frames: bool,
                greedy: bool, bar: Progress, comm) -> Evaluation:
    rounds = -(-episodes // AT_ONCE)
    endless = not isinstance(setting.environment, GamesSource)
    parts = assemble(prepare(_to_play(setting.experiment, -(-episodes // rounds), frames)), comm)
    _begin(parts, kept, greedy)
    parts.world.adopt(kept, parts.placement.local)
    environment = parts.world.environment
    kinds = [space.kinds for space in environment.actions]
    if frames and not endless and not _draws(environment):
        launch.agree(comm, lambda: _draw_actions(kinds))
    longest = steps or (STEPS if endless else LONGEST)
    played = [_play_together(parts, STREAMS + k, longest, frames and not k, bar, k * parts.world.games)
              for k in range(rounds)]
    parts.world.close()
    steps = max(len(each.rewards) for each in played)
    rewards, actions = (np.concatenate([_filled(getattr(each, name), steps) for each in played], axis=1).swapaxes(0, 1)
                        for name in ("rewards", "actions"))
    lengths, ended = (np.concatenate([getattr(each, name) for each in played])[:episodes] for name in ("lengths", "ended"))
    found = Evaluation(rewards[:episodes], lengths, None if endless else ended, actions[:episodes] if all(kinds) else None,
                       max(kinds) if all(kinds) else 0, setting.settings.gamma, greedy)
    found = found if comm is None else comm.bcast(found, root=0)
    return replace(found, frames=tuple(played[0].pictures))


def _draw_actions(kinds: list[int]) -> None:
    """Say that the picture shows actions; InputError where some are vectors."""
    if not all(kinds):
        raise InputError("the environment has no pictures, and action vectors cannot be drawn", key="env",
                         valid='one with render(game), or of PettingZoo one that takes render_mode = "rgb_array"')
    print('netac: note: the environment has no pictures (it takes no render_mode = "rgb_array", or has no render(game)): '
          "the picture shows who takes which action", file=sys.stderr, flush=True)


def _draws(environment: BatchedEnvironment) -> bool:
    return hasattr(environment, "render") and getattr(environment, "drawable", True)


@dataclass(frozen=True)
class _Round:
    """One episode of each of E games, T steps: team rewards (T, E), actions (T, E, N) or (T, E, N, size), pictures."""

    rewards: np.ndarray
    lengths: np.ndarray
    ended: np.ndarray
    actions: np.ndarray
    pictures: list[np.ndarray]


def _play_together(parts: Parts, chain: int, steps: int, frames: bool, bar: Progress, before: int) -> _Round:
    """One episode of each game, at most `steps` long; `before`: how many were played already."""
    world, environment = parts.world, parts.world.environment
    feed = world.feed(chain, environment)
    alive, lengths = np.ones(world.games, dtype=bool), np.zeros(world.games, dtype=np.int64)
    rewards, actions, pictures = [], [], []
    draw = frames and _draws(environment) and parts.placement.rank == 0
    while alive.any() and len(rewards) < steps:
        if draw and alive[0] and len(pictures) < FRAMES:
            pictures.append(environment.render(0))
        joint, outcome = world.play(parts.agents.parameters.theta, feed)
        rewards.append(outcome.team * alive)
        actions.append((joint.T * alive[:, None]) if joint.ndim == 2 else joint.swapaxes(0, 1))
        lengths += alive
        alive &= ~outcome.over
        bar.show(before + int((~alive).sum()), f"step {len(rewards)}")
    return _Round(np.array(rewards), lengths, ~alive, np.array(actions), pictures)


def _filled(array: np.ndarray, length: int) -> np.ndarray:
    """With zeros up to `length` rows."""
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])


def _to_play(experiment: config.Experiment, games: int, frames: bool) -> config.Experiment:
    """With so many games, rewards as they are, and PettingZoo's option for pictures if the environment takes it."""
    plain = experiment.normalise.model_copy(update={"rewards": False})
    experiment = experiment.model_copy(update={"envs": games, "normalise": plain})
    env = experiment.env
    if not frames or "factory" not in env:
        return experiment
    drawable = experiment.model_copy(update={"env": env | {"kwargs": env["kwargs"] | {"render_mode": "rgb_array"}}})
    try:
        make_environment(drawable.env, experiment.agents, 1)
    except InputError:               # it knows no such option: perhaps it draws without
        return experiment
    return drawable
