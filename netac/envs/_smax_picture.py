"""Pictures of battles."""

from __future__ import annotations

import numpy as np

from netac.envs._particles_picture import Disc, draw

ALLY, ENEMY = (24, 98, 190), (204, 62, 20)
FAINT = 0.3                              # how much of a unit is seen that has hardly any health left


def picture(places: np.ndarray, radii: np.ndarray, health: np.ndarray, allies: int) -> np.ndarray:
    """Units where they are, allies blue and enemies red, the fainter the less health they have; the frame is the wall.

    Args:
        places: (units, 2) in [-1, 1].
        radii: (units,) in the same units.
        health: (units,) what is left of it, from 0 to 1; who has none is not drawn.
        allies: how many of the units, the first ones, are allies.

    Returns:
        (480, 480, 3) bytes.
    """
    return draw(Disc(places[i], float(radii[i]), ALLY if i < allies else ENEMY, FAINT + (1.0 - FAINT) * float(left))
                for i, left in enumerate(health) if left > 0.0)
