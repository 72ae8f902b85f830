"""Pictures of platoons, drawn with NumPy: vehicles on a road, and their speeds below it."""

from __future__ import annotations

import numpy as np

WIDTH, HEIGHT = 960, 200                             # pixels
LENGTH = 4.0                                         # m, of a vehicle; headways are from front to back
ROAD, MARK, GROUND, LEADER = (96, 100, 108), (214, 214, 214), (255, 255, 255), (40, 40, 40)
SLOW, RIGHT, FAST, COLLIDED = (24, 98, 190), (0, 158, 115), (230, 159, 0), (204, 62, 20)
RIGHT_SPEED, MOST = 15.0, 30.0                       # m/s
LANE, BARS = (50, 90), (110, 190)                    # rows of the road, and of the bars


def picture(headways: np.ndarray, speeds: np.ndarray, leader: float, collided: bool) -> np.ndarray:
    """The leader (black) and behind it, to the left, the vehicles, and below each one a bar as high as its speed.

    Vehicles are blue at 0, green at 15 and orange at 30 m/s, and red after a collision; a line is at 15 m/s.

    Args:
        headways, speeds: (n,) m and m/s.
        leader: its speed.
        collided: whether there was a collision.

    Returns:
        (200, 960, 3) bytes.
    """
    fronts = np.concatenate([[0.0], -np.cumsum(headways + LENGTH)])
    seen = max(-fronts[-1] + 3 * LENGTH, 25.0 * len(fronts))
    scale = WIDTH / seen
    image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    image[:] = GROUND
    image[slice(*LANE)] = ROAD
    low, high = BARS[1], BARS[0]
    colours = [LEADER] + [COLLIDED if collided else _colour(speed) for speed in speeds]
    for front, speed, colour in zip(fronts, [leader, *speeds], colours, strict=True):
        right = int(WIDTH - LENGTH * scale + front * scale)
        columns = slice(max(right - max(int(LENGTH * scale), 3), 0), max(right, 0))
        image[LANE[0] + 8:LANE[1] - 8, columns] = colour
        image[low - round((low - high) * min(max(speed, 0.0), MOST) / MOST):low, columns] = colour
    image[low - round((low - high) * RIGHT_SPEED / MOST)] = MARK
    return image


def _colour(speed: float) -> tuple[int, ...]:
    """Between blue, green and orange."""
    share = min(abs(speed - RIGHT_SPEED) / RIGHT_SPEED, 1.0)
    end = FAST if speed > RIGHT_SPEED else SLOW
    return tuple(round(a + share * (b - a)) for a, b in zip(RIGHT, end, strict=True))
