"""Trained policies played again, without learning, in fresh episodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netac import config
from netac.build import assemble, prepare
from netac.measures import exact_measures
from netac.processes import checkpoints, launch
from netac.processes.chains import Chain
from netac.results.runs import EXPERIMENT, load_run

STREAMS = 2     # the chain index of evaluation's random streams: none that training uses


@dataclass(frozen=True)
class Evaluation:
    """What trained agents reach, without observation noise.

    Attributes:
        rewards: (episodes, steps) team-mean rewards.
        actions: (episodes, steps, N) joint actions.
        kinds: actions each agent can choose from.
        gamma: discount.
        J: exact normalised objective where the model is known, else None.
    """

    rewards: np.ndarray
    actions: np.ndarray
    kinds: int
    gamma: float
    J: float | None

    def summary(self) -> dict[str, float | int]:
        """Means over episodes with standard errors; `return` is (1 - gamma) x the discounted sum over the steps played."""
        mean = self.rewards.mean(axis=1)
        returns = (1 - self.gamma) * self.rewards @ self.gamma ** np.arange(self.rewards.shape[1])
        found = {"episodes": len(mean), "steps": self.rewards.shape[1],
                 "reward": float(mean.mean()), "reward_stderr": _stderr(mean),
                 "return": float(returns.mean()), "return_stderr": _stderr(returns)}
        return found if self.J is None else found | {"J": self.J}


def _stderr(x: np.ndarray) -> float:
    return float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else 0.0


def evaluate(run_dir: str | Path, episodes: int = 10, steps: int = 200) -> Evaluation:
    """Play the agents of a finished run for `episodes` episodes of `steps` steps, each from the initial distribution.

    Under mpirun every process plays its own agents and gets the same answer.

    Raises:
        InputError: `run_dir` is not the folder of a finished run.
    """
    comm = launch.communicator()
    record = launch.agree(comm, lambda: load_run(run_dir))
    setting = prepare(config.read(record.folder / EXPERIMENT).experiment())
    parts = assemble(setting, comm)
    kept = launch.agree(comm, lambda: checkpoints.final(record.folder / "checkpoints", setting.experiment.iterations))
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
    J = None
    if env.mdp is not None:
        J = exact_measures(setting, kept["parameters"])["J"]
    return Evaluation(np.array(rewards), np.array(actions), env.actions, setting.settings.gamma, J)
