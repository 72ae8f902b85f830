"""Pictures of cooperative navigation, drawn with NumPy."""

from __future__ import annotations

import numpy as np

SIDE = 480                                   # pixels
RANGE, MARGIN = 1.0, 0.2                     # what is always seen, and how much room there is around it
AGENT_RADIUS, LANDMARK_RADIUS = 0.15, 0.05
FLOOR, FRAME = (255, 255, 255), (222, 222, 222)
LANDMARK, AGENT, COLLIDING = (64, 64, 64), (24, 98, 190), (204, 62, 20)
OPACITY = 0.6                                # of agents: landmarks are seen through them


def picture(positions: np.ndarray, landmarks: np.ndarray, colliding: np.ndarray) -> np.ndarray:
    """A game as discs: landmarks dark grey, agents blue, those that collide red; the frame is where games begin.

    The picture is centred on the origin and shows a larger part of the plane where somebody went far out.

    Args:
        positions, landmarks: (N, 2), x and y.
        colliding: (N,) bool, which agents collide.

    Returns:
        (480, 480, 3) bytes: x to the right, y upwards, as in mpe2's pictures.
    """
    reach = max(RANGE, np.abs(positions).max(), np.abs(landmarks).max()) + MARGIN
    axis = (np.arange(SIDE) + 0.5) * (2 * reach / SIDE) - reach
    x, y = axis[None, :], -axis[:, None]
    image = np.empty((SIDE, SIDE, 3))
    image[:] = FLOOR
    soft = SIDE / (2 * reach)                # pixels per unit of length: edges are a pixel wide
    _blend(image, 1.5 - np.abs(np.maximum(np.abs(x), np.abs(y)) - RANGE) * soft, FRAME)
    for place in landmarks:
        _blend(image, _disc(x, y, place, LANDMARK_RADIUS, soft), LANDMARK)
    for place, collides in zip(positions, colliding, strict=True):
        _blend(image, _disc(x, y, place, AGENT_RADIUS, soft), COLLIDING if collides else AGENT, OPACITY)
    return np.rint(image).astype(np.uint8)


def _disc(x: np.ndarray, y: np.ndarray, centre: np.ndarray, radius: float, soft: float) -> np.ndarray:
    return (radius - np.hypot(x - centre[0], y - centre[1])) * soft + 0.5


def _blend(image: np.ndarray, covered: np.ndarray, colour: tuple[int, int, int], opacity: float = 1.0) -> None:
    """Paint over `image` where `covered`, between 0 and 1 after clipping, says how much."""
    weight = opacity * np.clip(covered, 0.0, 1.0)[..., None]
    image += weight * (np.array(colour, dtype=float) - image)
