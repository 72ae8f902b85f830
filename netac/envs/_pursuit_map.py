"""The map of pursuit-evasion as lookup tables, and how a game's agents are placed on it.

A cell is a number: the map lies in rows of constant y within a margin of walls that is one cell wider than an agent
sees, so that every window is a block of the padded map.  Cell 0, in the corner of that margin and seen by nobody, is
where caught evaders are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

MOVES = ((-1, 0), (1, 0), (0, 1), (0, -1), (0, 0))     # (x, y) steps of the five actions, as in PettingZoo
GONE = 0                                               # the cell of caught evaders


@dataclass(frozen=True)
class Map:
    """`x_size` by `y_size` cells with PettingZoo's building in the middle.

    Attributes:
        x_size, y_size: numbers of columns and rows.
        sight: how far an agent sees in every direction.
    """

    x_size: int
    y_size: int
    sight: int

    @property
    def margin(self) -> int:
        """Width of the walls around the map."""
        return self.sight + 1

    @property
    def width(self) -> int:
        """Cells of a padded row: the distance of two cells one above the other."""
        return self.x_size + 2 * self.margin

    @property
    def cells(self) -> int:
        """Cells of the padded map."""
        return self.width * (self.y_size + 2 * self.margin)

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the map within the padded one."""
        return slice(self.margin, -self.margin), slice(self.margin, -self.margin)

    @cached_property
    def building(self) -> np.ndarray:
        """(y_size, x_size) bool: PettingZoo's `rectangle_map`, with its comparisons."""
        x, y = np.arange(self.x_size) / self.x_size, np.arange(self.y_size) / self.y_size
        return np.logical_and.outer((y > 0.2) & (y < 1.0 - 0.2), (x > 0.3) & (x < 1.0 - 0.3))

    @cached_property
    def free(self) -> np.ndarray:
        """(cells,) bool: where agents may stand."""
        return self._padded(~self.building, False)

    @cached_property
    def moves(self) -> np.ndarray:
        """(cells * 5,) the cell that an action leads to: walls and the building stop it, caught evaders stay."""
        cells = np.arange(self.cells)
        targets = cells[:, None] + [dx + dy * self.width for dx, dy in MOVES]
        open_ = self.free[np.clip(targets, 0, self.cells - 1)] & self.free[:, None]
        return np.where(open_, targets, cells[:, None]).ravel()

    @cached_property
    def around(self) -> np.ndarray:
        """(cells, 4) the neighbours of every cell that agents may stand on; `GONE` elsewhere."""
        cells = np.arange(self.cells)[:, None] + [dx + dy * self.width for dx, dy in MOVES[:4]]
        return np.where(self.free[:, None], cells, GONE)

    @cached_property
    def touched(self) -> np.ndarray:
        """(cells, 4) where PettingZoo looks for evaders to tag: neighbours, itself in place of those off the map."""
        inside = self._padded(np.ones_like(self.building), False)
        return np.where(inside[self.around], self.around, np.arange(self.cells)[:, None])

    @cached_property
    def needed(self) -> np.ndarray:
        """(cells,) pursuers that surround an evader, by PettingZoo's count; -1 where no evader can be.

        It takes one off at the rim in each direction (also where a map of width one has rims on both sides, so that
        nothing is caught there) and one for each neighbour in the building.
        """
        x, y = np.meshgrid(np.arange(self.x_size), np.arange(self.y_size))
        count = 4 - ((x == 0) | (x == self.x_size - 1)) - ((y == 0) | (y == self.y_size - 1))
        walled = np.pad(self.building, 1)
        for dx, dy in MOVES[:4]:
            count -= walled[1 + y + dy, 1 + x + dx]
        return np.where(self.free, self._padded(count, -1), -1)

    def _padded(self, values: np.ndarray, outside: int) -> np.ndarray:
        return np.pad(values, self.margin, constant_values=outside).ravel()

    def number(self, at: np.ndarray) -> np.ndarray:
        """Cells of positions (..., 2), x and y; (-1, -1) is `GONE`."""
        x, y = at[..., 0], at[..., 1]
        return np.where(x < 0, GONE, (y + self.margin) * self.width + x + self.margin).astype(np.intp)

    def positions(self, cells: np.ndarray) -> np.ndarray:
        """Positions (..., 2) of cells, the inverse of `number`."""
        y, x = np.divmod(cells, self.width)
        return np.where((cells == GONE)[..., None], -1, np.stack([x, y], axis=-1) - self.margin)

    def within(self, columns: range, rows: range) -> np.ndarray:
        """(cells,) bool: the free cells of a rectangle of the map."""
        part = np.zeros_like(self.building)
        part[rows.start:rows.stop, columns.start:columns.stop] = True
        return self._padded(part, False) & self.free


def draw(ground: Map, constraint_window: float, groups: tuple[int, ...], rng: np.random.Generator) -> list[np.ndarray]:
    """One try to place a game's agents as PettingZoo does, group after group, in a window that is drawn first.

    An agent's cell is drawn uniformly from the free ones of the window that neither hold an agent of its group placed
    before nor lie beside one.  (PettingZoo draws cells until one is allowed, for ever where none is: the distribution
    is the same.)

    Args:
        constraint_window: sides of the window, relative to the map's.
        groups: how many agents each group has.

    Returns:
        The cells of each group; the list ends with the first group that found no room.
    """
    x, y = rng.random(2) * (1.0 - constraint_window)
    allowed = ground.within(range(int(ground.x_size * x), int(ground.x_size * (x + constraint_window))),
                            range(int(ground.y_size * y), int(ground.y_size * (y + constraint_window))))
    steps = np.array([dx + dy * ground.width for dx, dy in MOVES])
    placed: list[np.ndarray] = []
    for count in groups:
        left, cells = allowed.copy(), np.empty(count, dtype=np.intp)
        for agent, u in enumerate(rng.random(count)):
            choice = left.nonzero()[0]
            if not len(choice):
                return [*placed, cells[:agent]]
            cells[agent] = choice[int(u * len(choice))]
            left[cells[agent] + steps] = False
        placed.append(cells)
    return placed
