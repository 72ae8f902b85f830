"""Messages hold the signs of the values and their mean size.

How they are mixed, with feedback and without, is told in `_compression`.
"""

from __future__ import annotations

from pydantic import Field

from netac.comm.conditions._compression import Compressed, Compression
from netac.comm.conditions._scaled import Sign
from netac.comm.exchange import Surroundings

TYPICAL = 0.3      # of a message's squared norm signs keep 2 / pi where its values are normal, less where few are large


class Settings(Compressed):
    """Options of `sign`."""

    bucket: int = Field(512, ge=1, description="values that share a scale")


def make(settings: Settings, around: Surroundings) -> Compression:
    """The condition."""
    return Compression(Sign(settings.bucket), settings, around.topology, TYPICAL)
