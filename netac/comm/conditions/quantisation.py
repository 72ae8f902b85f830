"""Messages hold a scale and b bits for every value, rounded by chance.

How they are mixed, with feedback and without, is told in `_compression`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from netac.comm.conditions._compression import Compressed, Compression
from netac.comm.conditions._scaled import Quantisation
from netac.comm.exchange import Surroundings
from netac.utils.errors import InputError


class Settings(Compressed):
    """Options of `quantisation`."""

    bits: int = Field(ge=1, le=16, description="b, of a value, 1 to 16")
    bucket: int = Field(512, ge=1, description="values that share a scale")
    rounding: Literal["unbiased", "contracting", "nearest"] | None = Field(None, description=(
        "unbiased: up or down by chance (the default without feedback); contracting: the same, shrunk on arrival (the "
        "default with feedback); nearest: without chance"))


def make(settings: Settings, around: Surroundings) -> Compression:
    """The condition."""
    feeds_back = settings.feedback != "none"
    rounding = settings.rounding or ("contracting" if feeds_back else "unbiased")
    if feeds_back and (rounding == "unbiased" or (rounding == "nearest" and settings.bits == 1)):
        raise InputError("feedback asks for a code that never enlarges what it leaves out", key="rounding",
                         found=settings.rounding, valid='"contracting", or feedback = "none"')
    return Compression(Quantisation(settings.bits, settings.bucket, rounding), settings, around.topology)
