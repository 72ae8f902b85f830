"""Messages hold the k largest values alone, with their places.

How they are mixed, with feedback and without, is told in `_compression`.
"""

from __future__ import annotations

from pydantic import Field

from netac.comm.conditions._compression import Compressed, Compression
from netac.comm.conditions._sparse import TopK
from netac.comm.exchange import Surroundings


class Settings(Compressed):
    """Options of `top-k`."""

    fraction: float = Field(0.01, gt=0, le=1, allow_inf_nan=False, description="k / W, of W numbers; k is 1 at least")
    k: int | None = Field(None, ge=1, description="how many, in place of the fraction")


def make(settings: Settings, around: Surroundings) -> Compression:
    """The condition."""
    return Compression(TopK(settings.k, None if settings.k else settings.fraction), settings, around.topology)
