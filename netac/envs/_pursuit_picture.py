"""Pictures of pursuit-evasion games, drawn with NumPy."""

from __future__ import annotations

import numpy as np

CELL = 20                                    # pixels
LARGEST = 960                                # pixels of a picture's longer side, where cells can be made smaller for it
FLOOR, SEEN, GRID, BUILDING = (255, 255, 255), (255, 240, 214), (222, 222, 222), (84, 88, 96)
PURSUER, EVADER, DIGIT = (204, 62, 20), (24, 98, 190), (255, 255, 255)
_FONT = ("###,#.#,#.#,#.#,###", ".#.,##.,.#.,.#.,###", "###,..#,###,#..,###", "###,..#,.##,..#,###",
         "#.#,#.#,###,..#,..#", "###,#..,###,..#,###", "###,#..,###,#.#,###", "###,..#,..#,.#.,.#.",
         "###,#.#,###,#.#,###", "###,#.#,###,..#,###", "...,.#.,###,.#.,...")     # 0 to 9, a plus sign for more


def picture(building: np.ndarray, pursuers: np.ndarray, evaders: np.ndarray, sight: int) -> np.ndarray:
    """A game as discs on a grid, with numbers where several of a kind share a cell ("+": ten or more).

    Pursuers are red, what they see is shaded, evaders are blue; where both share a cell their discs are smaller, the
    pursuers' above on the left.

    Args:
        building: (rows, columns) bool.
        pursuers, evaders: (rows, columns) how many there are on every cell.
        sight: how far a pursuer sees in every direction.

    Returns:
        (height, width, 3) bytes: x to the right, y downwards, as in PettingZoo's pictures.
    """
    side = max(6, min(CELL, LARGEST // max(building.shape)))
    image = np.empty((*building.shape, side, side, 3), dtype=np.uint8)       # one tile per cell
    image[:] = FLOOR
    image[seen(pursuers > 0, sight)] = SEEN
    image[:, :, -1], image[:, :, :, -1] = GRID, GRID
    image[building] = BUILDING
    both = (pursuers > 0) & (evaders > 0)
    for counts, colour, way in ((pursuers, PURSUER, -1), (evaders, EVADER, 1)):
        for y, x in np.argwhere(counts > 0):
            centre, radius = (((side - 2) / 2, 0.42 * side) if not both[y, x]
                              else ((0.5 + 0.2 * way) * (side - 1), 0.3 * side))
            _disc(image[y, x], centre, radius, colour)
            if counts[y, x] > 1 and side >= 12:
                _digit(image[y, x], centre, min(int(counts[y, x]), 10), 1 if both[y, x] or side < 16 else 2)
    return image.transpose(0, 2, 1, 3, 4).reshape(building.shape[0] * side, building.shape[1] * side, 3)


def seen(pursuers: np.ndarray, sight: int) -> np.ndarray:
    """(rows, columns) bool: the cells that some pursuer sees."""
    result = np.zeros_like(pursuers)
    for y, x in np.argwhere(pursuers):
        result[max(0, y - sight):y + sight + 1, max(0, x - sight):x + sight + 1] = True
    return result


def _disc(tile: np.ndarray, centre: float, radius: float, colour: tuple[int, int, int]) -> None:
    """Draw a disc with a soft edge into a tile (side, side, 3)."""
    offsets = np.arange(len(tile)) - centre
    covered = np.clip(radius + 0.5 - np.hypot(offsets[:, None], offsets), 0.0, 1.0)[..., None]
    tile[:] = np.rint(covered * colour + (1.0 - covered) * tile)


def _digit(tile: np.ndarray, centre: float, digit: int, scale: int) -> None:
    rows = np.array([[pixel == "#" for pixel in row] for row in _FONT[digit].split(",")])
    pixels = rows.repeat(scale, axis=0).repeat(scale, axis=1)
    top, left = (round(centre - (size - 1) / 2) for size in pixels.shape)
    tile[top:top + len(pixels), left:left + pixels.shape[1]][pixels] = DIGIT
