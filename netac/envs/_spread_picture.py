"""Pictures of cooperative navigation."""

from __future__ import annotations

import numpy as np

from netac.envs._particles_picture import Disc, draw

AGENT_RADIUS, LANDMARK_RADIUS = 0.15, 0.05
LANDMARK, AGENT, COLLIDING = (64, 64, 64), (24, 98, 190), (204, 62, 20)
OPACITY = 0.6                                # of agents: landmarks are seen through them


def picture(positions: np.ndarray, landmarks: np.ndarray, colliding: np.ndarray) -> np.ndarray:
    """A game as discs: landmarks dark grey, agents blue, those that collide red: see `draw`.

    Args:
        positions, landmarks: (N, 2), x and y.
        colliding: (N,) bool, which agents collide.
    """
    return draw([Disc(place, LANDMARK_RADIUS, LANDMARK) for place in landmarks]
                + [Disc(place, AGENT_RADIUS, COLLIDING if collides else AGENT, OPACITY)
                   for place, collides in zip(positions, colliding, strict=True)])
