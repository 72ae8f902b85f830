"""Pictures of mpe2's games of particles, drawn with NumPy: discs on a plane."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

SIDE = 480                                   # pixels
RANGE, MARGIN = 1.0, 0.2                     # what is always seen, and how much room there is around it
FLOOR, FRAME = (255, 255, 255), (222, 222, 222)


class Disc(NamedTuple):
    """One of a picture's discs.

    Attributes:
        place: (2,) x and y of its centre.
        radius: its radius.
        colour: red, green and blue, bytes.
        opacity: how little of what lies below is seen through it.
    """

    place: np.ndarray
    radius: float
    colour: tuple[int, int, int]
    opacity: float = 1.0


def draw(discs: Iterable[Disc]) -> np.ndarray:
    """Discs one over the other; the frame is where games begin.

    The picture is centred on the origin and shows a larger part of the plane where a disc lies far out.

    Returns:
        (480, 480, 3) bytes: x to the right, y upwards, as in mpe2's pictures.
    """
    discs = list(discs)
    reach = max(RANGE, *(float(np.abs(disc.place).max()) for disc in discs)) + MARGIN
    axis = (np.arange(SIDE) + 0.5) * (2 * reach / SIDE) - reach
    x, y = axis[None, :], -axis[:, None]
    image = np.empty((SIDE, SIDE, 3))
    image[:] = FLOOR
    soft = SIDE / (2 * reach)                # pixels per unit of length: edges are a pixel wide
    _blend(image, 1.5 - np.abs(np.maximum(np.abs(x), np.abs(y)) - RANGE) * soft, FRAME)
    for disc in discs:
        covered = (disc.radius - np.hypot(x - disc.place[0], y - disc.place[1])) * soft + 0.5
        _blend(image, covered, disc.colour, disc.opacity)
    return np.rint(image).astype(np.uint8)


def _blend(image: np.ndarray, covered: np.ndarray, colour: tuple[int, int, int], opacity: float = 1.0) -> None:
    """Paint over `image` where `covered`, between 0 and 1 after clipping, says how much."""
    weight = opacity * np.clip(covered, 0.0, 1.0)[..., None]
    image += weight * (np.array(colour, dtype=float) - image)
