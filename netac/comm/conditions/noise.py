"""Links add Gaussian noise to every number of a message, or round it to multiples of a step; or both.

    y = x + deviation g,      g standard normal, of every link and number by itself
    y = step round(y / step)                        (rounding = "plain")
    y = step (round(y / step + u) - u)              (rounding = "dithered"), u uniform in [-1/2, 1/2)

If `relative`, deviation and step are multiples of the message's largest |x_k|.  With dither the error is uniform in
[-step/2, step/2) and independent of y (Schuchman, 1964).  Noise comes upon a message when it is used, decoded: the
listeners of an agent hear different values, and what `delay` uses twice is noisy anew.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import numpy as np
from pydantic import Field

from netac.comm.exchange import Condition, Exchange, Phase, Surroundings
from netac.utils.errors import InputError
from netac.utils.options import Options
from netac.utils.streams import normal

GAUSSIAN, DITHER = 0, 1      # draws


class Settings(Options):
    """Options of `noise`."""

    deviation: float = Field(0.0, ge=0, allow_inf_nan=False, description="of the Gaussian noise, at least 0")
    step: float = Field(0.0, ge=0, allow_inf_nan=False, description=(
        "distance of the values that a link carries, at least 0; 0: it carries all"))
    rounding: Literal["plain", "dithered"] = Field("plain", description=(
        "plain: to the nearest multiple of step; dithered: with a random shift that the hearer subtracts"))
    relative: bool = Field(False, description="whether deviation and step are multiples of the message's largest |x_k|")


class Noise(Condition):
    """The module's equations."""

    phase = Phase.NOISE
    unlike = MappingProxyType({
        "push-sum": "the weights that travel with the values, by which these are divided, would be noisy, too"})

    def __init__(self, settings: Settings):
        self._settings = settings
        if settings.deviation or settings.step:
            self.alters = True
            self.notes = ("every link changes values by itself (network.noise), so that consensus does not keep the "
                          "mean of what is mixed: it drifts",)

    def arrive(self, exchange: Exchange) -> None:
        """Make them noisy."""
        chosen, x = self._settings, exchange.received
        W = x.shape[1]
        y = x.astype(float)
        scale = np.abs(y).max(axis=1, keepdims=True) if chosen.relative else np.ones((len(y), 1))
        if chosen.deviation:
            y += chosen.deviation * scale * normal(exchange.link_uniforms(W, GAUSSIAN))
        if chosen.step:
            step = chosen.step * scale
            step[step == 0.0] = 1.0                         # of messages whose numbers are 0
            u = exchange.link_uniforms(W, DITHER) - 0.5 if chosen.rounding == "dithered" else 0.0
            y = step * (np.round(y / step + u) - u)
        exchange.received = y.astype(x.dtype)


def make(settings: Settings, around: Surroundings) -> Noise:
    """The condition."""
    if settings.rounding == "dithered" and not settings.step:
        raise InputError("is a way to round to multiples of a step, and there is no step", key="rounding",
                         found=settings.rounding, valid="with a step above 0")
    return Noise(settings)
