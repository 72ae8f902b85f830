"""What netac asks of an environment with a state of its own: E games side by side, N agents in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import numpy as np

from netac.envs._tabular import check_gamma
from netac.utils.errors import InputError, RunError
from netac.utils.spaces import ActionSpace, joint_space


@dataclass(slots=True)
class Step:
    """What one joint step of E games gives.

    Attributes:
        r: (N, E) rewards, double; 0 for agents that took no part, or where all are paid the same the team's.
        terminated: (N, E) bool: s' has no value for the agent.  An agent that is truncated is not terminated.
        done: (E,) bool: the game has ended, for whatever reason, and must be restarted before the next step.
        team: (E,) team-mean rewards without observation noise, where rewards have such noise; else None.
    """

    r: np.ndarray
    terminated: np.ndarray
    done: np.ndarray
    team: np.ndarray | None = None

    def team_mean(self) -> np.ndarray:
        """(E,) team-mean rewards, without observation noise."""
        return np.add.reduce(self.r, axis=0) / len(self.r) if self.team is None else self.team


def allowed_actions(environment: BatchedEnvironment) -> np.ndarray | None:
    """Which actions agents may take now: (E, F) bool, agent after agent; None where all may be taken at any time.

    All are allowed to an agent that takes no part.

    Raises:
        RunError: an agent that takes part may do nothing.
    """
    told: Callable[[range], list[np.ndarray]] | None = getattr(environment, "action_masks", None)
    if told is None:
        return None
    masks = told(range(environment.agents))
    for agent, (mask, space, active) in enumerate(zip(masks, environment.actions, environment.active, strict=True)):
        nothing = space.lacks(mask)
        if nothing.any():
            if (nothing & active).any():
                game = int(np.flatnonzero(nothing & active)[0])
                raise RunError(f"the environment's action mask allows no action in game {game}", agent=agent)
            mask[nothing] = True
    return np.concatenate(masks, axis=1)


def drawn_evenly(environment: BatchedEnvironment, rng: np.random.Generator) -> np.ndarray:
    """A joint action for `step`: of every agent one of those it may take now, each as likely."""
    joint, allowed = joint_space(environment.actions), allowed_actions(environment)
    own = [space.random(rng, environment.games, None if allowed is None else allowed[:, joint.columns(agent)])
           for agent, space in enumerate(joint.spaces)]
    return joint.stack(own, range(environment.agents))


def has_masks(environment: BatchedEnvironment) -> bool:
    """Whether it tells which actions agents may take."""
    return getattr(environment, "action_masks", None) is not None


def has_costs(environment: Any) -> bool:
    """Whether its steps have costs, which are no part of the rewards."""
    return getattr(environment, "costs", None) is not None


def costs_of(environment: Any) -> np.ndarray | None:
    """What the last step cost each agent, (N, E); None where there are no costs.

    Raises:
        RunError: a cost is not finite.
    """
    if not has_costs(environment):
        return None
    costs = environment.costs()
    if not np.isfinite(costs).all():
        agent, game = np.argwhere(~np.isfinite(costs))[0].tolist()
        raise RunError(f"the environment's cost in game {game} is {costs[agent, game]}", agent=agent)
    return costs


class BatchedEnvironment(Protocol):
    """E games side by side; after `begin` a game is stepped until it is over, then restarted.

    All randomness comes from what `begin` was given, and depends on (seed, chain, game) alone: equal calls give equal
    games, whatever the number of processes.  After a step `observe` shows s', also of games that are over; after
    `restart` it shows the first observations of the restarted ones.

    Attributes:
        agents, games: N, E.
        names: (N) what the environment calls its agents.
        observations: (N) shapes of the agents' observations.
        actions: (N) action spaces.
        state_shape: shape of the global state, None where there is none.
        gamma: the discount the environment comes with, or None.
        active: (N, E) bool, who takes part in the next step.
        neighbours: the graph of the problem, which `topology = "environment"` talks over: an undirected networkx graph
            on the agents or their names, a dictionary from each to its neighbours, or a function of t that gives one;
            None, or left out: there is none.
        positions: a method that says where all agents are, whether they take part or not: (N, E, d) coordinates,
            doubles, the caller's to keep.  May be left out; with it agents can talk to those within a radius,
            `topology = { name = "environment", radius = ... }`.
        action_masks: a method that tells which actions some agents, a range, may take now: one (E, n_actions) bool
            array each, the caller's to keep, in which something is true where the agent is active; of several choices
            their masks side by side, of vectors, (E, size), all true.  None, or left out: every action may be taken at
            any time.
        costs: a method that tells what the last step cost each agent, (N, E) doubles, the caller's to keep, 0 for who
            took no part: asked after a step, before games are restarted.  None, or left out: there are no costs.
        nbytes: what the games take of memory, where they tell; may be left out.
        measures: names of what an episode is measured by besides its return, such as a waiting time; may be left out.
        common_reward: whether all agents are paid the same in every step, those that take no part included; may be left
            out, and then trainers play a few steps to see.
        resumable: whether `get_state` and `set_state` hold everything; if not, resumed games begin anew.
    """

    agents: int
    games: int
    names: tuple[str, ...]
    observations: tuple[tuple[int, ...], ...]
    actions: tuple[ActionSpace, ...]
    state_shape: tuple[int, ...] | None
    gamma: float | None
    active: np.ndarray
    resumable: bool

    def begin(self, seed: int, chain: int) -> None:
        """Begin all games anew, with the random streams of the run's seed and of chain `chain`."""

    def observe(self, agents: range) -> list[np.ndarray]:
        """The current observations of `agents`: one (E, *shape) array each, single precision, the caller's to keep."""

    def state(self) -> np.ndarray:
        """The current global state, (E, *state_shape), single precision, the caller's to keep."""

    def step(self, actions: np.ndarray) -> Step:
        """One joint step of all games: (N, E) whole numbers where all agents make one choice, else doubles
        (N, E, largest size): one choice as a whole number in the first entry, several in turn, vectors within their
        bounds."""

    def measured(self) -> dict[str, np.ndarray]:
        """The `measures` of each game's episode, (E,) each: asked for after a step with which games end, before they
        are restarted, and read of those alone.  Left out where there are none."""

    def restart(self, games: np.ndarray) -> None:
        """Begin the games of the mask (E,) anew."""

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything the games go on from, as plain arrays (random streams as counters)."""

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from there, after `begin` with the same seed and chain."""

    def render(self, game: int = 0) -> np.ndarray:
        """A picture of one game as it stands: (height, width, 3), bytes.  May be left out; games that have it but
        cannot draw say so by an attribute `drawable = False`."""

    def close(self) -> None:
        """Give back what the games hold."""


def state_shape(environment: BatchedEnvironment) -> tuple[int, ...]:
    """The shape of `global_state` in one game."""
    return environment.state_shape or (sum(int(np.prod(shape)) for shape in environment.observations),)


def global_state(environment: BatchedEnvironment) -> np.ndarray:
    """The environment's state, (E, *shape); where it has none, all agents' observations side by side."""
    if environment.state_shape:
        return environment.state()
    games = environment.games
    return np.concatenate([own.reshape(games, -1) for own in environment.observe(range(environment.agents))], axis=1)


def check_batched(environment: BatchedEnvironment, agents: int, games: int, source: str) -> BatchedEnvironment:
    """Begin the games, look, make one step and begin anew, twice, and see that all answers are as promised.

    Shapes and types are checked.  Arrays that were given out must keep their values when the games go on.  The second
    time must give what the first one gave, since every process plays the games.  Attributes that may be None or False
    may be left out.

    Raises:
        InputError: naming what of `source` is missing or wrong.
    """
    def refuse(what: str, found: object, valid: str) -> NoReturn:
        raise InputError(f"{source}: {what}", key="env", found=found, valid=valid)

    for name, value in {"gamma": None, "state_shape": None, "resumable": False, "names": None}.items():
        if not hasattr(environment, name):
            setattr(environment, name, value)
    environment.names = environment.names or tuple(f"agent_{agent}" for agent in range(agents))
    methods = ("begin", "observe", "step", "restart") + (("state",) if environment.state_shape else ()) + (
        ("get_state", "set_state") if environment.resumable else ()) + (
        ("measured",) if getattr(environment, "measures", ()) else ())
    missing = [name for name in ("agents", "games", "observations", "actions", *methods)
               if not hasattr(environment, name)]
    if missing:
        refuse("the environment lacks something", ", ".join(missing),
               "an object as described by netac.envs.BatchedEnvironment")
    for name, wanted in {"agents": agents, "games": games}.items():
        check_number(environment, name, wanted, source)
    for name in ("names", "observations", "actions"):
        if len(getattr(environment, name)) != agents:
            refuse(f"`{name}` has the wrong length", len(getattr(environment, name)),
                   f"one entry for each of {agents} agents")
    check_gamma(environment.gamma, source)
    first, second = _played(environment, refuse), _played(environment, refuse)
    check_measured(environment, source)
    for name, (answer, shape, kind) in first.items():
        if np.shape(answer) != shape or np.asarray(answer).dtype.kind != kind:
            refuse(f"`{name}` answers with the wrong shape or type", f"{np.shape(answer)}, {np.asarray(answer).dtype}",
                   f"{shape}, {'numbers' if kind == 'f' else 'bool'}")
        if not np.isfinite(answer).all():
            refuse(f"`{name}` answers with numbers that are not finite", np.asarray(answer)[~np.isfinite(answer)][0],
                   "numbers")
    for name, (answer, *_) in first.items():
        if not np.array_equal(answer, second[name][0]):
            refuse(f"equal seeds give different games: `{name}` differs after begin(0, 0) and the same actions",
                   "two answers", "randomness from nothing but what `begin` was given: every process plays these games")
    return environment


def check_number(environment: BatchedEnvironment, name: str, wanted: int, source: str) -> BatchedEnvironment:
    """The environment `source`; refused unless it has as many agents, or games (`name`), as are wanted.

    Raises:
        InputError: it has more or fewer.
    """
    if (found := getattr(environment, name)) != wanted:
        raise InputError(f"{source}: the environment has another number of {name}", key="env", found=found,
                         valid=f"{wanted}, as the experiment says")
    return environment


def check_measured(environment: BatchedEnvironment, source: str) -> None:
    """See that games that have `measures` tell all of them, a number for each game.

    Raises:
        InputError: they do not.
    """
    names = tuple(getattr(environment, "measures", ()))
    if not names:
        return
    told = environment.measured()
    found = {name: np.shape(values) for name, values in told.items()}
    wanted = dict.fromkeys(names, (environment.games,))
    if found != wanted:
        raise InputError(f"{source}: `measured` answers with something else than its `measures`", key="env",
                         found=found, valid=f"{wanted}, a number for each game")


def _played(environment: BatchedEnvironment, refuse: Callable) -> dict[str, tuple[np.ndarray, tuple[int, ...], str]]:
    """Begin, make a step, begin all games anew: each answer with the shape and kind it should have.

    Answers are copied, as arrays; `refuse` is called when one that is the caller's to keep does not stay what it was.
    """
    agents, games = environment.agents, environment.games
    answers: dict[str, tuple[np.ndarray, tuple[int, ...], str]] = {}
    given: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def add(name: str, answer: object, shape: tuple[int, ...], kind: str) -> None:
        answers[name] = np.array(answer), shape, kind

    def look(when: str) -> None:
        add(f"active{when}", environment.active, (agents, games), "b")
        seen = {f"observe (agent {k})": (obs, shape) for k, (obs, shape) in
                enumerate(zip(environment.observe(range(agents)), environment.observations, strict=True))}
        if environment.state_shape:
            seen["state"] = environment.state(), environment.state_shape
        if hasattr(environment, "positions"):
            positions = environment.positions()
            if np.ndim(positions) != 3 or np.shape(positions)[:2] != (agents, games):
                refuse("`positions` answers with the wrong shape", np.shape(positions),
                       f"({agents}, {games}, d): d coordinates of every agent in every game")
            seen["positions"] = positions.swapaxes(0, 1), (agents, positions.shape[2])
        told: Any = getattr(environment, "action_masks", None)
        if told is not None:
            for k, (mask, space) in enumerate(zip(told(range(agents)), environment.actions, strict=True)):
                seen[f"action_masks (agent {k})"] = mask, (space.outputs,)
        for name, (answer, shape) in seen.items():
            add(name + when, answer, (games, *shape), "b" if name.startswith("action_masks") else "f")
            before, kept = given.get(name, (answer, answers[name][0]))
            if (name in given and np.shares_memory(before, answer)) or np.asarray(before).tobytes() != kept.tobytes():
                refuse(f"`{name}` answers with the environment's own array, which changes when the games go on",
                       "an array it keeps", "a new array every time, such as array.copy()")
            given[name] = answer, answers[name + when][0]

    environment.begin(0, 0)
    look("")
    first = [space.first(_mask_of(answers, agent, environment, refuse))
             for agent, space in enumerate(environment.actions)]
    step = environment.step(joint_space(environment.actions).stack(first, range(agents)))
    for name, shape, kind in (
            ("r", (agents, games), "f"), ("terminated", (agents, games), "b"), ("done", (games,), "b")):
        add(f"step: {name}", getattr(step, name), shape, kind)
    if has_costs(environment):
        charged: Any = environment
        add("costs", charged.costs(), (agents, games), "f")
    look(" after a step")
    environment.restart(np.ones(games, dtype=bool))
    look(" after restart")
    return answers


def _mask_of(answers: dict[str, tuple[np.ndarray, tuple[int, ...], str]], agent: int, environment: BatchedEnvironment,
             refuse: Callable) -> np.ndarray:
    """What an agent may do, (E, outputs); `refuse` is called if that is nothing, or not told as it should be."""
    space, name = environment.actions[agent], f"action_masks (agent {agent})"
    everything = np.ones((environment.games, space.outputs), dtype=bool)
    mask, shape, _ = answers.get(name, (everything, everything.shape, "b"))
    if mask.shape != shape or mask.dtype.kind != "b":
        refuse(f"`{name}` answers with the wrong shape or type", f"{mask.shape}, {mask.dtype}", f"{shape}, bool")
    if not (space.choices or mask.all()):
        refuse(f"`{name}` is not true everywhere, and the agent's actions are vectors", "False", "True")
    nothing = space.lacks(mask) & environment.active[agent]
    if nothing.any():
        refuse(f"`{name}` allows nothing", f"game {np.flatnonzero(nothing)[0]}",
               "at least one action of every agent that is active")
    return np.where(space.lacks(mask)[:, None], True, mask)
