"""What a run folder says of its agents, so that it can be read without making their environment.

Checkpoints hold it as the array `agents`: the bytes of a JSON text.  Nothing in it is ever run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netac.agents.parameters import Layout
from netac.utils.errors import InputError
from netac.utils.sight import Shapes, Sight
from netac.utils.spaces import ActionSpace

ENTRY = "agents"
QUANTITIES = {"theta": "theta", "omega": "omega", "lambda": "lam", "mu": "mu"}      # of a result, and of a layout


@dataclass(frozen=True)
class Interface:
    """What agents with networks see and do.

    Attributes:
        ids: (N) what their environment calls them.
        sight: what the networks see.
        actions: (N) action spaces.
        spaces: (N) pairs of gymnasium's spaces of observations and actions, of a PettingZoo environment; else None.
        reparametrised: whether actions are differentiable functions of the policies' outputs
            (`netac.agents.neural.policies.ReparametrisedPolicy`).
        joint: whether the policies are over all agents' actions (`netac.agents.neural.joint_policies.JointPolicy`).
        utilities: whether the networks say what actions are worth (`netac.agents.neural.utilities.UtilityPolicy`).
        autoregressive: whether one model acts for all (`netac.agents.neural.autoregressive.AutoregressivePolicy`).
    """

    ids: tuple
    sight: Sight
    actions: tuple[ActionSpace, ...]
    spaces: tuple[tuple[Any, Any], ...] | None = None
    reparametrised: bool = False
    joint: bool = False
    utilities: bool = False
    autoregressive: bool = False

    @classmethod
    def of(cls, model: Any) -> Interface:
        """Of what agents with networks are made of: `netac.experiment.build.Setting.model`."""
        from netac.agents.neural.autoregressive import AutoregressivePolicy
        from netac.agents.neural.joint_policies import JointPolicy
        from netac.agents.neural.reparametrised import ReparametrisedPolicy
        from netac.agents.neural.utilities import UtilityPolicy
        games, sight = model.ground.probe, model.ground.sight
        spaces = getattr(games, "gymnasium_spaces", None)
        return cls(tuple(games.names if spaces is None else games.ids), sight, tuple(games.actions), spaces,
                   *(isinstance(model.policy, kind) for kind in (
                       ReparametrisedPolicy, JointPolicy, UtilityPolicy, AutoregressivePolicy)))

    @property
    def observations(self) -> Shapes:
        """(N) shapes of what the policies see."""
        return self.sight.shapes(self.sight.policy)

    def as_table(self) -> dict[str, Any] | None:
        """As a table that JSON can hold; None where an agent's name or a space has no such form."""
        if not all(type(name) in (str, int) for name in self.ids):
            return None
        kinds = [{"observation": list(shape), "action": _as_numbers(action)}
                 for shape, action in zip(self.sight.own, self.actions, strict=True)]
        if self.spaces is not None:
            from netac.envs._pettingzoo_text import as_table
            try:
                kinds = [kind | {"spaces": [as_table(space) for space in pair]}
                         for kind, pair in zip(kinds, self.spaces, strict=True)]
            except ValueError:
                return None
        different = {json.dumps(kind): kind for kind in kinds}
        numbers = {text: k for k, text in enumerate(different)}
        return {"ids": list(self.ids), "kinds": list(different.values()),
                "kind": [numbers[json.dumps(kind)] for kind in kinds], "reparametrised": self.reparametrised,
                "joint": self.joint, "utilities": self.utilities, "autoregressive": self.autoregressive,
                "sight": self.sight.as_table()}

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Interface:
        """The interface that `as_table` made the table of."""
        kinds = [table["kinds"][k] for k in table["kind"]]
        spaces = None
        if "spaces" in kinds[0]:
            from netac.envs._pettingzoo_text import from_table
            spaces = tuple(tuple(map(from_table, kind["spaces"])) for kind in kinds)
        own = tuple(tuple(kind["observation"]) for kind in kinds)
        sight = Sight.from_table(own, table["sight"]) if "sight" in table else Sight(own)
        return cls(tuple(table["ids"]), sight, tuple(_from_numbers(kind["action"]) for kind in kinds), spaces,
                   table["reparametrised"], table.get("joint", False), table.get("utilities", False),
                   table.get("autoregressive", False))


def _as_numbers(action: ActionSpace) -> dict[str, Any]:
    """An action space as a table; infinite bounds, which JSON has not, as texts."""
    bounds = {name: [bound if np.isfinite(bound) else str(bound) for bound in getattr(action, name)]
              for name in ("low", "high")}
    return asdict(action) | bounds


def _from_numbers(table: dict[str, Any]) -> ActionSpace:
    """The action space that `_as_numbers` made the table of; older tables know nothing of several choices."""
    low, high = (tuple(map(float, table[name])) for name in ("low", "high"))
    return ActionSpace(table["n_actions"], low, high, tuple(map(int, table.get("nvec", ()))))


def describe(layout: Layout, interface: Interface | None) -> dict[str, np.ndarray]:
    """What a checkpoint holds of a run's agents.

    Args:
        layout: what each of them holds.
        interface: what they see and do, if they are networks.
    """
    columns = {name: [layout.columns[part].start, layout.columns[part].stop] for name, part in QUANTITIES.items()}
    table = {"columns": columns, "networks": interface is not None,
             "interface": interface.as_table() if interface else None}
    return {ENTRY: np.frombuffer(json.dumps(table, allow_nan=False).encode(), np.uint8)}


@dataclass(frozen=True)
class Description:
    """What a checkpoint says of a run's agents.

    Attributes:
        columns: where theta, omega, lambda and mu stand in the agents' rows.
        networks: whether they are networks.
        table: their interface as a table; None of linear agents, and where it has no form that a file can hold.
        file: whose it is, for messages.
    """

    columns: dict[str, slice]
    networks: bool
    table: dict[str, Any] | None
    file: Path

    @classmethod
    def read(cls, checkpoint: Mapping[str, np.ndarray], file: Path) -> Description | None:
        """Of a checkpoint; None of one that an older netac wrote, which does not say.

        Raises:
            InputError: the entry is damaged; names `file`.
        """
        if ENTRY not in checkpoint:
            return None
        with _told(file):
            table = json.loads(checkpoint[ENTRY].tobytes())
            columns = {name: slice(*map(int, table["columns"][name])) for name in QUANTITIES}
            return cls(columns, bool(table["networks"]), table["interface"], file)

    @property
    def interface(self) -> Interface | None:
        """What networks see and do; None where the description does not say.

        Raises:
            InputError: the entry is damaged.
        """
        with _told(self.file):
            return Interface.from_table(self.table) if self.table else None


@contextmanager
def _told(file: Path) -> Iterator[None]:
    """Makes an InputError of whatever a damaged description raises."""
    try:
        yield
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"does not say what its numbers are: {type(error).__name__}: {error}", file=file,
                         key=ENTRY) from error


def by_name(flat: np.ndarray, columns: Mapping[str, slice]) -> dict[str, np.ndarray]:
    """theta (N, d), omega (N, K), lambda (N, L) and mu (N, 0 or 1) of all agents' rows (N, D)."""
    return {name: flat[:, columns[name]].copy() for name in QUANTITIES}


def columns_of(layout: Layout) -> dict[str, slice]:
    """Where theta, omega, lambda and mu stand in rows of this layout."""
    return {name: layout.columns[part] for name, part in QUANTITIES.items()}
