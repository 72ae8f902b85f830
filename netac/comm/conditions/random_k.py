"""Messages hold k of the values, drawn anew for each: which they are need not travel.

How they are mixed, with feedback and without, is told in `_compression`.
"""

from __future__ import annotations

from pydantic import Field

from netac.comm.conditions._compression import Compressed, Compression
from netac.comm.conditions._sparse import RandomK
from netac.comm.exchange import Surroundings
from netac.utils.errors import InputError


class Settings(Compressed):
    """Options of `random-k`."""

    fraction: float = Field(0.01, gt=0, le=1, allow_inf_nan=False, description="k / W, of W numbers; k is 1 at least")
    k: int | None = Field(None, ge=1, description="how many, in place of the fraction")
    unbiased: bool = Field(False, description="multiply by W / k, for feedback = \"none\"")


def make(settings: Settings, around: Surroundings) -> Compression:
    """The condition."""
    if settings.unbiased and settings.feedback != "none":
        raise InputError("feedback asks for a code that never enlarges what it leaves out", key="unbiased", found=True,
                         valid='false, or feedback = "none"')
    code = RandomK(settings.k, None if settings.k else settings.fraction, settings.unbiased)
    return Compression(code, settings, around.topology)
