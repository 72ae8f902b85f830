"""Trained networks as policies that act in any environment with the agents they were trained with.

    policies = netac.load("runs/pursuit-cac-seed0")
    observations, infos = env.reset(seed=0)
    actions = policies(observations)          # {agent: action}, ready for env.step

Policies with memory (`policy.name = "gru"`) remember from call to call: say `policies.reset()` where a new episode
begins.  Action masks in observations are heeded; others are told: `policies(observations, masks={agent: mask})`.
Agents of `mat` have one policy together: each knows what those before it do, so that all should be asked at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netac.agents.normalisation import ObservationNormaliser
from netac.comm import checkpoints
from netac.experiment import config
from netac.experiment import trust as trusting
from netac.experiment.build import prepare
from netac.experiment.description import Description, Interface, columns_of
from netac.results.records import CHECKPOINTS, EXPERIMENT, RunRecord, load_run
from netac.utils.errors import InputError, short
from netac.utils.sight import Sight


@dataclass(frozen=True)
class Greedy:
    """The most probable action (the first of several), or the mean of a normal distribution, in place of a draw.

    Attributes:
        policy: linear policies or networks of some agents; methods and shapes are theirs.
    """

    policy: Any

    @property
    def memory(self) -> int:
        """How many numbers a network remembers; 0: none."""
        return getattr(self.policy, "memory", 0)

    def logits(self, theta: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Of linear policies, (n, M, A): 0 for the most probable action, -inf for the others."""
        logits = self.policy.logits(theta, states)
        return np.where(np.arange(logits.shape[-1]) == logits.argmax(axis=-1)[..., None], 0.0, -np.inf)

    def act(self, theta: np.ndarray, obs: list[np.ndarray], uniforms: np.ndarray, keep: bool = True,
            memory: np.ndarray | None = None,
            allowed: list[np.ndarray] | None = None) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Actions of networks and their probabilities."""
        return self.policy.act(theta, obs, None, keep, memory, allowed)


class TrainedPolicies:
    """What `load` gives: call it with observations to get actions.

    Observations and actions are those of the environment of the run, by the names it gives its agents; netac's
    `pursuit` has the names and spaces of `pettingzoo.sisl.pursuit_v5`.  At each call every agent has random numbers of
    its own, so what an agent does does not depend on who else is asked; but where one model acts for all, it is shown
    zeros for those that are not.  One with a memory remembers the calls in which it was asked, since the last `reset`.

    Args:
        interface: what they see and do.
        policy: the networks of all agents.
        theta: their parameters, (N, d).
        statistics: of the observations, where they are normalised, (N, K).
        greedy, seed: see `load`.

    Attributes:
        names: what the agents are called, in agent order.
    """

    def __init__(self, interface: Interface, policy: Any, theta: np.ndarray, statistics: np.ndarray | None,
                 greedy: bool, seed: int):
        self._environment = _environment(interface)
        self.names: tuple[Hashable, ...] = interface.ids
        self._index = {name: agent for agent, name in enumerate(self.names)}
        self._policy, self._actions = Greedy(policy) if greedy else policy, policy.actions
        self._theta = np.ascontiguousarray(theta)
        self._sight, self._normaliser = interface.sight, None
        if statistics is not None:
            self._normaliser = ObservationNormaliser(list(self._sight.shapes(self._sight.widest)))
            self._normaliser.rows[:] = statistics
        self._uniforms = np.random.default_rng(seed)
        self._memory = np.zeros((len(self.names), 1, policy.memory), dtype=np.float32) if policy.memory else None

    def reset(self) -> None:
        """A new episode begins: forget the last one.  Policies without memory have nothing to forget."""
        if self._memory is not None:
            self._memory[:] = 0.0

    def __call__(self, observations: Mapping[Hashable, Any], state: Any = None,
                 masks: Mapping[Hashable, Any] | None = None) -> dict[Hashable, Any]:
        """An action for each agent that has an observation.

        Args:
            observations: what agents see by themselves.  Where policies see their neighbours, too, agents are shown
                zeros for those that have no observation here.
            state: the environment's global state, where policies see that; else not looked at.
            masks: for some agents which actions they may take, as zeros and ones; these come before masks in
                observations.

        Raises:
            InputError: an agent the run does not know, an observation, or a state, that is not of its space, or a mask
                that does not fit its actions, or allows none.
        """
        if not isinstance(observations, Mapping):
            raise InputError("observations should be a dictionary", found=type(observations).__name__,
                             valid="{agent: observation}, the first of what env.reset and env.step return")
        if not isinstance(masks, Mapping | None):
            raise InputError("masks should be a dictionary", found=type(masks).__name__,
                             valid='{agent: mask}, such as {agent: infos[agent]["action_mask"] for agent in infos}')
        obs = [np.zeros((1, *shape), dtype=np.float32) for shape in self._sight.own]
        allowed: dict[int, np.ndarray] = {}
        for name, observation in observations.items():
            if name not in self._index:
                raise InputError("the run has no such agent", found=name, valid=", ".join(map(str, self.names)))
            agent = self._index[name]
            obs[agent][0] = self._environment.shown(agent, observation)
            told = (masks or {}).get(name)
            told = self._environment.mask(agent, observation) if told is None else told
            if told is not None:
                allowed[agent] = self._permitted(agent, told)
        obs = self._shown(obs, state)
        uniforms = self._uniforms.random((len(obs), 1, max(space.size for space in self._actions)))
        before = None if self._memory is None else self._memory.copy()
        everything = [np.ones((1, space.outputs), dtype=bool) for space in self._actions] if allowed else []
        may = [allowed.get(agent, each) for agent, each in enumerate(everything)] or None
        own, _ = self._policy.act(self._theta, obs, uniforms, False, self._memory, may)
        if before is not None and self._memory is not None:
            absent = [agent for name, agent in self._index.items() if name not in observations]
            self._memory[absent] = before[absent]
        return {name: self._action(self._index[name], own[self._index[name]][0]) for name in observations}

    def _shown(self, own: list[np.ndarray], state: Any) -> list[np.ndarray]:
        """What policies see: (N) arrays (1, *shape)."""
        sight, agents = self._sight, range(len(own))
        if sight.policy == "state":
            own = [_state(state, sight)] * len(own)
        elif sight.places:
            own = sight.wide(own, agents)
        if self._normaliser is not None:
            own = self._normaliser.apply(own)
        return sight.part(own, sight.policy, agents)

    def _permitted(self, agent: int, told: Any) -> np.ndarray:
        """What an agent may do, (1, outputs) bool."""
        space, name = self._actions[agent], self.names[agent]
        try:
            mask = space.mask(told)
        except ValueError as error:
            raise InputError(f"the action mask of {name!r} {error}", valid="1 where it may act so, else 0") from None
        if space.lacks(mask):
            raise InputError(f"the action mask of {name!r} allows nothing", found=short(told),
                             valid="a mask that allows an action, or no observation of an agent that does not act")
        return mask[None]

    def _action(self, agent: int, drawn: np.ndarray) -> Any:
        return self._environment.taken(agent, self._actions[agent].rounded(drawn))       # as in training


def load(run_dir: str | Path, *, greedy: bool = False, seed: int = 0, which: str = "last",
         trust: bool = False) -> TrainedPolicies:
    """The trained agents of a finished run, to act in a PettingZoo environment or any other with the same agents.

    Args:
        run_dir: a run folder whose agents are networks.
        greedy: the most probable action, or the mean of action vectors, instead of a draw.
        seed: of the random numbers with which actions are drawn.
        which: "last", as training left them, or "best", as they did best in an evaluation during training.
        trust: run whatever code the folder names; by default only what `netac.experiment.trust` knows.

    Raises:
        InputError: it is not the folder of a finished run, its agents are linear, it has not kept the best, or it names
            code that this machine does not know.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError("should be a whole number", key="seed", found=seed, valid="0, 1, 2, ...")
    record = load_run(run_dir)
    place = record.folder / CHECKPOINTS
    kept = checkpoints.policies(place, record.iterations, which)
    description = Description.read(kept, place)
    interface, columns = (description.interface, description.columns) if description else (None, None)
    gate = trusting.gate(record.folder, record.experiment, trust)
    if interface is None and (description is None or description.networks):
        with gate.asked():
            interface, columns = _made(record)
    if interface is None or columns is None:
        raise InputError("the agents of this run are linear: they act in states, not on observations",
                         file=record.folder, valid="a run of networks; netac.evaluate plays linear agents, "
                                                   "netac.load_result has their parameters")
    with gate.asked():
        policy = _policy(record, interface)
    return TrainedPolicies(interface, policy, kept["parameters"][:, columns["theta"]],
                           kept.get("rows_observation_statistics"), greedy, seed)


def _made(record: RunRecord) -> tuple[Interface | None, dict[str, slice]]:
    """Interface and columns of a run whose checkpoints do not say them, from its parts: its environment is made.

    An older netac wrote it, or its environment has agents or spaces that no file can hold.
    """
    setting = prepare(config.read(record.folder / EXPERIMENT).experiment())
    return Interface.of(setting.model) if setting.plays_games else None, columns_of(setting.layout)


def _policy(record: RunRecord, interface: Interface) -> Any:
    """The networks that the table [policy] describes; a user's own are imported."""
    from netac.agents.neural.autoregressive import autoregressive_policy
    from netac.agents.neural.joint_policies import joint_policy
    from netac.agents.neural.policies import neural_policy
    from netac.agents.neural.reparametrised import reparametrised_policy
    from netac.agents.neural.utilities import utility_policy
    from netac.experiment.neural_agents import read_part
    from netac.experiment.schema import NetworkPolicy
    spaces = interface.observations, interface.actions, tuple(map(str, interface.ids))
    wanted = read_part(NetworkPolicy, record.experiment["policy"], None, interface.observations[0], "policy")
    if interface.reparametrised:         # acting needs neither a temperature nor a penalty
        return reparametrised_policy(wanted.network, *spaces, wanted.options.initial, 1.0, 0.0)
    if interface.utilities:              # and is greedy
        return utility_policy(wanted.network, *spaces, wanted.options.shared, wanted.options.initial)
    if interface.autoregressive:
        return autoregressive_policy(wanted.network, *spaces[:2])
    make = joint_policy if interface.joint else neural_policy
    return make(wanted.network, *spaces, **wanted.options.of_networks(), recurrent=True)


@dataclass(frozen=True)
class _Arrays:
    """Observations and actions of an environment that has them as arrays; the methods are those of
    `netac.envs._pettingzoo_game.Seats`."""

    interface: Interface

    def shown(self, agent: int, observation: Any) -> np.ndarray:
        name, shape = self.interface.ids[agent], self.interface.sight.own[agent]
        try:
            array = np.asarray(observation)
        except ValueError:            # a ragged list
            array = np.empty((), dtype=object)
        if array.shape != shape or array.dtype.kind not in "biuf":
            raise InputError(f"{name!r}: the observation is not an array of {shape} numbers", found=short(observation),
                             valid=f"shape {shape}")
        if not np.isfinite(array).all():
            raise InputError(f"{name!r}: the observation holds {array[~np.isfinite(array)][0]}", valid="finite numbers")
        return array

    def mask(self, agent: int, observation: Any) -> None:
        """None: arrays hold no masks."""

    def taken(self, agent: int, action: np.ndarray) -> np.ndarray | np.integer:
        return action.astype(self.interface.actions[agent].dtype)       # of several choices whole numbers


def _state(state: Any, sight: Sight) -> np.ndarray:
    """A global state as policies are shown it, (1, *shape)."""
    array = np.asarray(state)
    if array.shape != sight.state or array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise InputError("these policies see the environment's global state", key="state", found=short(state),
                         valid=f"an array of shape {sight.state}, finite numbers: policies(observations, env.state())")
    return array[None].astype(np.float32)


def _environment(interface: Interface) -> Any:
    """What knows the observations and actions of the run's agents; there are no games."""
    if interface.spaces is None:
        return _Arrays(interface)
    from netac.envs._pettingzoo_game import Seats
    from netac.envs._pettingzoo_spaces import reader, writer
    observations, actions = zip(*interface.spaces, strict=True)
    return Seats(interface.ids, tuple(reader(space, "the observation space") for space in observations),
                 tuple(writer(space, "the action space") for space in actions))
