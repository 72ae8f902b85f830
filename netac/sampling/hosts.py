"""Who steps a batched environment: every process the same games (`Replicated`), or process 0 alone (`AtRoot`).

Replicated, only actions are sent; that is for netac's own environments, which are functions of counters and uniforms.
A third-party environment lives on process 0, which sends every process what its agents see: one Scatterv after each
step, another one after games have begun anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.envs._batched import BatchedEnvironment, Step, allowed_actions, costs_of, global_state, has_masks
from netac.utils.errors import quietly
from netac.utils.pulse import pulse

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(slots=True)
class View:
    """What the agents of a process are shown of E games.

    Attributes:
        obs: one (E, *shape_i) array per agent, single precision.
        state: (E, *shape) global state, None where nobody asks for it, or where only the trainer is told.
        active: (N, E) bool, who takes part in the next step.
        allowed: (E, F) bool, what each of all agents may do in it, one agent's actions after the other's (all that one
            may do who takes no part); None where all may be done at any time.
        seen: what critics see, one array per agent, as the sampler says.
    """

    obs: list[np.ndarray]
    state: np.ndarray | None
    active: np.ndarray
    allowed: np.ndarray | None = None
    seen: list[np.ndarray] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """What a joint step gives the agents of a process.

    Attributes:
        r, terminated: (n, E) own rewards; whether s' has no value for the agent.
        done: (E,) games that must be restarted.
        valued: (N, E) bool: s' has a value for the agent, which goes on or was truncated with this step.
        team: (E,) team-mean rewards (zeros on processes that do not get them).
        everyone: the step of all agents; None on processes that do not step the games.
        view: what is shown in s', also of games that ended.
        measured: what the environment measures of games that ended, (E,) each, read of those; nothing if none did, and
            on processes that do not step the games.
        costs: (N, E) what the step cost all agents; None where the environment has no costs, and on processes that do
            not step the games.
    """

    r: np.ndarray
    terminated: np.ndarray
    done: np.ndarray
    valued: np.ndarray
    team: np.ndarray
    view: View
    everyone: Step | None = None
    measured: Mapping[str, np.ndarray] = field(default_factory=dict)
    costs: np.ndarray | None = None


class Replicated:
    """The same games in every process."""

    def __init__(self, environment: BatchedEnvironment, agents: range, with_state: bool):
        self._environment, self._agents, self._with_state = environment, agents, with_state

    def begin(self, seed: int, chain: int) -> View:
        """Begin all games."""
        self._environment.begin(seed, chain)
        return self._view()

    def step(self, actions: np.ndarray) -> Outcome:
        """One joint step: actions as `BatchedEnvironment.step` takes them."""
        step, valued = _moved(self._environment, actions)
        own = slice(self._agents.start, self._agents.stop)
        return Outcome(step.r[own], step.terminated[own], step.done, valued, step.team_mean(), self._view(), step,
                       measured(self._environment, step), costs_of(self._environment))

    def restart(self, games: np.ndarray) -> View:
        """Restart the games of the mask (E,)."""
        self._environment.restart(games)
        return self._view()

    def _view(self) -> View:
        environment = self._environment
        return View(environment.observe(self._agents), global_state(environment) if self._with_state else None,
                    environment.active.copy(), allowed_actions(environment))

    def get_state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps; nothing of games that have nothing to keep."""
        return _saved(self._environment)

    def set_state(self, state: dict[str, np.ndarray]) -> View:
        """Go on from a checkpoint, after `begin`."""
        if hasattr(self._environment, "set_state"):
            self._environment.set_state(state)
        return self._view()

    def close(self) -> None:
        """Release what the games hold."""
        _close(self._environment)


class Elsewhere:
    """The games of process 0, of which this process, which has no agents, is told nothing."""

    def __init__(self, environment: BatchedEnvironment):
        self._environment = environment

    def begin(self, seed: int, chain: int) -> View:
        """Nothing to see."""
        return View([], None, np.zeros((self._environment.agents, self._environment.games), dtype=bool))

    def step(self, actions: np.ndarray) -> Outcome:
        """Not asked for."""
        raise AssertionError("process 0 steps the games")

    def restart(self, games: np.ndarray) -> View:
        """Not asked for."""
        raise AssertionError("process 0 restarts the games")

    def get_state(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def set_state(self, state: dict[str, np.ndarray]) -> View:
        """Nothing to see."""
        return self.begin(0, 0)

    def close(self) -> None:
        """Release what the games hold, which were never begun."""
        _close(self._environment)


class AtRoot:
    """The games of process 0, shown to all.

    Args:
        environment: the games, on process 0; elsewhere one that is only asked for its spaces.
        with_state: whether the global state is shown.
        trainer: whether it is shown to process 0 alone, and what travels is counted as the trainer's traffic.
    """

    def __init__(self, environment: BatchedEnvironment, placement: Placement, ledger: Ledger, with_state: bool,
                 comm: MPI.Intracomm, trainer: bool = False):
        self._environment, self._placement, self._ledger, self._comm = environment, placement, ledger, comm
        games, shapes = environment.games, environment.observations
        self._shown = [[(games, *shapes[agent]) for agent in placement.block(rank)]
                       for rank in range(placement.processes)]
        self._trainer_sees = trainer and with_state and placement.rank == 0
        self._state = (games, *(environment.state_shape or ())) if with_state and not trainer else None
        self._active = (placement.agents, games)
        self._allowed = (games, sum(space.outputs for space in environment.actions)) if has_masks(environment) else None
        self._counts = [self._floats(rank) for rank in range(placement.processes)]
        self._received = np.empty(self._counts[placement.rank])
        self._root = placement.rank == 0

    def _floats(self, rank: int) -> int:
        """Doubles that process `rank` is sent: outcome, who is active, what is allowed, observations, state."""
        singles = sum(int(np.prod(shape)) for shape in [*self._shown[rank], *([self._state] if self._state else [])])
        games = self._environment.games
        return ((2 * len(self._placement.block(rank)) + 1) * games + (self._active[0] * games + 7) // 8
                + (_bits(self._allowed) + 7) // 8 + (singles + 1) // 2)

    def begin(self, seed: int, chain: int) -> View:
        """Begin all games."""
        if self._root:
            self._environment.begin(seed, chain)
        return self._told().view

    def step(self, actions: np.ndarray) -> Outcome:
        """One joint step."""
        return self._told(*_moved(self._environment, actions)) if self._root else self._told()

    def restart(self, games: np.ndarray) -> View:
        """Restart the games of the mask (E,)."""
        if self._root:
            self._environment.restart(games)
        return self._told().view

    def get_state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps; nothing but on process 0."""
        return _saved(self._environment) if self._root else {}

    def set_state(self, state: dict[str, np.ndarray]) -> View:
        """Go on from a checkpoint, after `begin`."""
        if self._root and hasattr(self._environment, "set_state"):
            self._environment.set_state(state)
        return self._told().view

    def close(self) -> None:
        """Release what the games hold."""
        _close(self._environment)

    def _told(self, step: Step | None = None, valued: np.ndarray | None = None) -> Outcome:
        """Send every process the outcome of `step` (None: zeros) and the view, and return this process's.

        A message is (rewards, terminated, done, active and valued, allowed, observations, state).
        """
        sent = self._packed(step, valued) if self._root else None
        self._comm.Scatterv(None if sent is None else [sent, self._counts], self._received, root=0)
        outcome = self._unpacked(self._received, self._placement.rank)
        if self._root:
            sizes = self._counts[1:]
            self._ledger.wire(len(sizes), 8 * sum(sizes))
            if step is not None:
                outcome.team, outcome.everyone = step.team_mean(), step
                outcome.measured, outcome.costs = measured(self._environment, step), costs_of(self._environment)
        if self._trainer_sees:
            outcome.view.state = global_state(self._environment)
        return outcome

    def _packed(self, step: Step | None, valued: np.ndarray | None) -> np.ndarray:
        environment, placement = self._environment, self._placement
        games, parts = environment.games, []
        obs = environment.observe(range(placement.agents))
        state = environment.state() if self._state else None
        allowed = allowed_actions(environment)
        masks = b"" if allowed is None else _padded(np.packbits(allowed).tobytes())
        active = environment.active
        flags = active + 2 * (active if valued is None else valued).astype(np.uint8)   # takes part next; s' has a value
        for rank in range(placement.processes):
            block = placement.block(rank)
            own = slice(block.start, block.stop)
            numbers = np.zeros((2 * len(block) + 1, games))
            if step is not None:
                numbers[:len(block)], numbers[len(block):-1], numbers[-1] = step.r[own], step.terminated[own], step.done
            shown = [obs[agent] for agent in block] + ([] if state is None else [state])
            parts += [numbers.tobytes(), _padded(flags.tobytes()), masks,
                      _padded(b"".join(s.astype("f4").tobytes() for s in shown))]
        return np.frombuffer(b"".join(parts))

    def _unpacked(self, received: np.ndarray, rank: int) -> Outcome:
        n, games = len(self._placement.block(rank)), self._environment.games
        numbers = received[:(2 * n + 1) * games].reshape(2 * n + 1, games)
        nbytes = received[numbers.size:].view(np.uint8)
        cells = int(np.prod(self._active))
        flags = nbytes[:cells].reshape(self._active)
        nbytes, allowed = nbytes[(cells + 7) // 8 * 8:], None
        if self._allowed:
            allowed = np.unpackbits(nbytes, count=prod(self._allowed)).astype(bool).reshape(self._allowed)
            nbytes = nbytes[(_bits(self._allowed) + 7) // 8 * 8:]
        singles = nbytes.view(np.float32)
        shown, at = [], 0
        for shape in [*self._shown[rank], *([self._state] if self._state else [])]:
            size = int(np.prod(shape))
            shown.append(singles[at:at + size].reshape(shape).copy())
            at += size
        state = shown.pop() if self._state else None
        return Outcome(numbers[:n].copy(), numbers[n:2 * n].astype(bool), numbers[-1].astype(bool), flags > 1,
                       np.zeros(games), View(shown, state, flags % 2 > 0, allowed))


def _moved(environment: BatchedEnvironment, actions: np.ndarray) -> tuple[Step, np.ndarray]:
    """One joint step, and for whom s' has a value, (N, E)."""
    before = environment.active.copy()
    step = environment.step(actions)
    pulse.beats += 1
    return step, (environment.active | before) & ~step.terminated


def measured(environment: BatchedEnvironment, step: Step) -> Mapping[str, np.ndarray]:
    """What the environment measures of the games that ended with `step`; nothing if none did."""
    return environment.measured() if getattr(environment, "measures", ()) and step.done.any() else {}


def _saved(environment: BatchedEnvironment) -> dict[str, np.ndarray]:
    """The games' state; empty where a user's environment has no `get_state`."""
    return environment.get_state() if hasattr(environment, "get_state") else {}


def _close(environment: BatchedEnvironment) -> None:
    """Close the games, where the environment has `close`, which may fail."""
    if hasattr(environment, "close"):
        quietly(environment.close)


def _bits(shape: tuple[int, int] | None) -> int:
    """Bytes of so many bits."""
    return 0 if shape is None else (prod(shape) + 7) // 8


def _padded(nbytes: bytes) -> bytes:
    """The bytes, with zeros up to a whole number of doubles."""
    return nbytes + bytes(-len(nbytes) % 8)
