"""Trained policies played again, without learning, in fresh episodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netac import config
from netac.build import Parts, Setting, assemble, prepare
from netac.environments import GamesSource, make_environment
from netac.errors import InputError
from netac.measures import exact_measures
from netac.processes import checkpoints, launch
from netac.processes.chains import Chain
from netac.results.runs import EXPERIMENT, load_run

STREAMS = 2     # the chain index of evaluation's random streams: none that training uses
AT_ONCE = 32    # games played side by side
STEPS = 200     # of an episode in an environment whose episodes never end
FRAMES = 500    # of a picture


@dataclass(frozen=True)
class Evaluation:
    """What trained agents reach, without observation noise.

    Attributes:
        rewards: (episodes, steps) team-mean rewards, 0 after an episode's end.
        lengths: (episodes,) steps of each episode.
        actions: (episodes, steps, N) joint actions; None for action vectors.
        kinds: actions each agent can choose from; 0 for action vectors.
        gamma: discount.
        J: exact normalised objective where the model is known, else None.
        frames: pictures of the first episode, where they were asked for; else empty.
    """

    rewards: np.ndarray
    lengths: np.ndarray
    actions: np.ndarray | None
    kinds: int
    gamma: float
    J: float | None = None
    frames: tuple[np.ndarray, ...] = ()

    def summary(self) -> dict[str, float | int]:
        """Means over episodes with standard errors.

        `reward` is per step; `return` is (1 - gamma) x the discounted sum over the steps played; `episode_return` is the
        plain sum, where episodes have an end of their own.
        """
        sums = self.rewards.sum(axis=1)
        mean = sums / self.lengths
        returns = (1 - self.gamma) * self.rewards @ self.gamma ** np.arange(self.rewards.shape[1])
        found = {"episodes": len(mean), "steps": int(self.lengths.max()),
                 "reward": float(mean.mean()), "reward_stderr": _stderr(mean),
                 "return": float(returns.mean()), "return_stderr": _stderr(returns),
                 "episode_return": float(sums.mean()), "episode_return_stderr": _stderr(sums),
                 "episode_length": float(self.lengths.mean())}
        return found if self.J is None else found | {"J": self.J}


def _stderr(x: np.ndarray) -> float:
    return float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0


def evaluate(run_dir: str | Path, episodes: int = 10, steps: int | None = None, frames: bool = False) -> Evaluation:
    """Play the agents of a finished run for `episodes` episodes, each from the initial distribution.

    Under mpirun every process plays its own agents and gets the same answer.

    Args:
        steps: the most steps of an episode; by default as many as it has, 200 where the environment has no end.
        frames: draw the first episode, at most its first 500 steps.

    Raises:
        InputError: `run_dir` is not the folder of a finished run, or its environment cannot be drawn.
    """
    comm = launch.communicator()
    record = launch.agree(comm, lambda: load_run(run_dir))
    setting = prepare(config.read(record.folder / EXPERIMENT).experiment())
    kept = launch.agree(comm, lambda: checkpoints.final(record.folder / "checkpoints", setting.experiment.iterations))
    if setting.plays_games:
        return _play_games(setting, kept, episodes, steps, frames, comm)
    return _play_chain(setting, kept, episodes, steps or STEPS, comm)


def _play_chain(setting: Setting, kept: dict[str, np.ndarray], episodes: int, steps: int, comm) -> Evaluation:
    parts = assemble(setting, comm)
    local = parts.placement.local
    parts.agents.parameters.flat[:] = kept["parameters"][local.start:local.stop]
    world, env = parts.world, setting.environment
    feed = world.feeds[0] = world.feed(STREAMS, Chain(setting.experiment.seed, STREAMS, env.initial))
    rewards, actions = [], []
    for episode in range(episodes):
        if episode and env.states > 1:
            feed.chain.begin()
        states, next_states, joint = world.play(parts.agents.parameters.theta, steps)
        rewards.append(env.rewards(states, joint, next_states, range(1))[1])
        actions.append(joint.T)
    world.close()
    J = None if setting.mdp is None else exact_measures(setting, kept["parameters"])["J"]
    return Evaluation(np.array(rewards), np.full(episodes, steps), np.array(actions), env.actions, setting.settings.gamma, J)


def _play_games(setting: Setting, kept: dict[str, np.ndarray], episodes: int, steps: int | None, frames: bool,
                comm) -> Evaluation:
    experiment, games = setting.experiment, min(episodes, AT_ONCE)
    endless = not isinstance(setting.environment, GamesSource)
    parts = assemble(prepare(_drawable(experiment.model_copy(update={"envs": games}), frames)), comm)
    local = parts.placement.local
    parts.agents.parameters.flat[:] = kept["parameters"][local.start:local.stop]
    parts.world.adopt(kept, local)
    played = [_play_together(parts, STREAMS + k, (steps or STEPS) if endless else steps, frames and not k)
              for k in range(-(-episodes // games))]
    parts.world.close()
    longest = max(len(rewards) for rewards, *_ in played)
    rewards = np.concatenate([_filled(rewards, longest) for rewards, *_ in played], axis=1).T[:episodes]
    kinds = parts.world.environment.actions[0].kinds
    actions = np.concatenate([_filled(actions, longest) for *_, actions, _ in played], axis=1) if kinds else None
    found = Evaluation(rewards, np.concatenate([lengths for _, lengths, *_ in played])[:episodes],
                       None if actions is None or actions.ndim > 3 else actions.swapaxes(0, 1)[:episodes], kinds,
                       setting.settings.gamma, frames=tuple(played[0][-1]))
    return found if comm is None else comm.bcast(found, root=0)


def _play_together(parts: Parts, chain: int, steps: int | None, frames: bool):
    """One episode of each game: (T, E) team rewards, (E,) lengths, (T, E, N) joint actions, pictures of the first game."""
    world, environment = parts.world, parts.world.environment
    feed = world.feed(chain, environment)
    alive, lengths = np.ones(world.games, dtype=bool), np.zeros(world.games, dtype=np.int64)
    rewards, actions, pictures = [], [], []
    draw = frames and hasattr(environment, "render") and parts.placement.rank == 0
    while alive.any() and (steps is None or len(rewards) < steps):
        if draw and alive[0] and len(pictures) < FRAMES:
            pictures.append(environment.render(0))
        joint, outcome = world.play(parts.agents.parameters.theta, feed)
        rewards.append(outcome.team * alive)
        actions.append(joint.swapaxes(0, 1))
        lengths += alive
        alive &= ~outcome.over
    return np.array(rewards), lengths, np.array(actions), pictures


def _filled(array: np.ndarray, length: int) -> np.ndarray:
    """With zeros up to `length` rows."""
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])


def _drawable(experiment: config.Experiment, frames: bool) -> config.Experiment:
    """With PettingZoo's option for pictures, where the environment is a user's or a third party's."""
    env = experiment.env
    if not frames or "factory" not in env or "render_mode" in env["kwargs"]:
        return experiment
    drawable = experiment.model_copy(update={"env": env | {"kwargs": env["kwargs"] | {"render_mode": "rgb_array"}}})
    try:
        make_environment(drawable.env, experiment.agents, 1)
    except InputError:               # it knows no such option: perhaps it draws without
        return experiment
    return drawable
