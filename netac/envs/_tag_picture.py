"""Pictures of tag."""

from __future__ import annotations

import numpy as np

from netac.envs._particles_picture import Disc, draw

PURSUER, PREY, TOUCHED, OBSTACLE = (204, 62, 20), (24, 98, 190), (230, 159, 0), (84, 88, 96)


def picture(pursuers: np.ndarray, preys: np.ndarray, touched: np.ndarray, obstacles: np.ndarray,
            radii: tuple[float, float, float]) -> np.ndarray:
    """A game as discs: obstacles grey, pursuers red, preys blue, those that are touched orange: see `draw`.

    Args:
        pursuers, preys, obstacles: (P, 2), (G, 2), (L, 2), x and y.
        touched: (G,) bool, which preys a pursuer touches.
        radii: of pursuers, preys and obstacles.
    """
    colours = [TOUCHED if caught else PREY for caught in touched]
    return draw([Disc(place, radii[2], OBSTACLE) for place in obstacles]
                + [Disc(place, radii[0], PURSUER) for place in pursuers]
                + [Disc(place, radii[1], colour) for place, colour in zip(preys, colours, strict=True)])
