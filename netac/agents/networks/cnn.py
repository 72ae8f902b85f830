"""Convolutions, then dense layers; for images of few pixels, such as a 7 x 7 view of a grid.

Images are kept with the samples innermost, as matrices (C, H W M), and a convolution is one product of its weights, a
matrix as well, with the windows: an overlapping view of the images whose copying moves long runs of numbers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field

from netac.agents.networks._images import ImageKernel, Images, after
from netac.agents.networks._kernel import ACTIVATIONS, DenseKernel
from netac.agents.networks._layers import Activation, Width, activation, add_dense, dense, gain_of, started
from netac.agents.networks._torch import torch
from netac.utils.errors import InputError
from netac.utils.options import Options


class Settings(Options):
    """Options of `name = "cnn"`."""

    channels: list[Width] = Field([16, 32], min_length=1, max_length=64, description="channels of the convolutions")
    kernel: int = Field(3, ge=1, le=1024, description="height and width of a convolution's window")
    stride: int = Field(1, ge=1, le=1024, description="pixels between windows")
    padding: int = Field(0, ge=0, le=1024, description="zeros around the image, before each convolution")
    hidden: list[Width] = Field([], max_length=64, description="widths of the dense layers before the output")
    activation: Activation = Field("relu", description="after every convolution and every hidden layer")
    layout: Literal["auto", "channels-first", "channels-last"] = Field("auto", description=(
        "where an observation has its channels; auto: the first or last axis, whichever is shorter, and the last one "
        "if both are equal"))


def make(settings: Settings, observation: tuple[int, ...], outputs: int, joint: int = 0, gain: float = 1.0) -> Cnn:
    """The module: parameters conv1.weight, conv1.bias, conv2.weight, ..., dense1.weight, ..., output.weight,
    output.bias.

    Raises:
        InputError: the observation is no image, or too small for the convolutions.
    """
    return Cnn(settings, _images(settings, observation), outputs, joint, gain)


def kernel(settings: Settings, observation: tuple[int, ...], outputs: int, joint: int = 0) -> ImageKernel | None:
    """The same without torch, for tanh, relu and elu."""
    if settings.activation not in ACTIVATIONS:
        return None
    images = _images(settings, observation)
    flat = settings.channels[-1] * images.pixels[-1]
    return ImageKernel(images, tuple(settings.channels), DenseKernel(
        flat, joint, tuple(settings.hidden), outputs, settings.activation))


def _images(settings: Settings, observation: tuple[int, ...]) -> Images:
    """What the convolutions are shown.

    Raises:
        InputError: the observation is no image, or too small for the convolutions.
    """
    if len(observation) not in (2, 3):
        raise InputError("cnn needs an image", found=f"observations of shape {observation}",
                         valid='shapes (H, W), (H, W, C) or (C, H, W); "mlp" for vectors')
    first = len(observation) == 3 and (settings.layout == "channels-first" or (
        settings.layout == "auto" and observation[0] < observation[2]))
    shape = (*observation[1:], observation[0]) if first else (*observation, 1)[:3]
    sizes = [(shape[0], shape[1])]
    for _ in settings.channels:
        sizes.append(after(sizes[-1], settings.kernel, settings.stride, settings.padding))
        if min(sizes[-1]) < 1:
            raise InputError(f"the image is too small for convolution {len(sizes) - 1}, which gets {sizes[-2][0]} x "
                             f"{sizes[-2][1]} pixels",
                             valid="fewer `channels`, a smaller `kernel` or `stride`, more `padding`")
    return Images(shape, first, tuple(sizes), settings.kernel, settings.stride, settings.padding)


# Why not torch.nn.Conv2d: forwards and backwards through [16, 32] channels and the output layer, one thread, 1 / 16 /
# 32 / 64 images of 7 x 7 x 3 take 250 / 377 / 493 / 738 us this way, and 220 / 596 / 681 / 856 us with Conv2d, whose
# last bits differ.
class Convolution(torch.nn.Module):
    """A convolution of images with `before` channels: weights (channels, before kernel kernel), bias (channels, 1).

    Args:
        number: which of the images' convolutions it is, from 0 on.
    """

    def __init__(self, before: int, channels: int, images: Images, number: int):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(channels, before * images.kernel**2))
        self.bias = torch.nn.Parameter(torch.empty(channels, 1))
        self.before, self._size, self._after = before, *images.sizes[number:number + 2]
        self._kernel, self._stride, self._padding = images.kernel, images.stride, images.padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(before, H W M) -> (channels, H' W' M)."""
        (height, width), (high, wide), kernel, stride = self._size, self._after, self._kernel, self._stride
        pixel = x.shape[1] // (height * width)
        if self._padding:
            x = torch.nn.functional.pad(x.view(-1, height, width, pixel), (0, 0, *[self._padding] * 4))
            height, width = x.shape[1:3]
        row = width * pixel
        windows = x.as_strided((self.before, kernel, kernel, high, wide, pixel),
                               (height * row, row, pixel, row * stride, pixel * stride, 1))
        return torch.addmm(self.bias, self.weight, windows.reshape(-1, high * wide * pixel))


class Cnn(torch.nn.Module):
    """Convolutions "conv1", ..., then dense layers of what they give and the joint action.

    Args:
        outputs, gain: of the last layer.
    """

    def __init__(self, settings: Settings, images: Images, outputs: int, joint: int, gain: float):
        super().__init__()
        self._images, convolutions = images, []
        self._between, name = activation(settings.activation), settings.activation
        for k, (before, channels) in enumerate(pairwise([images.shape[2], *settings.channels])):
            layer = Convolution(before, channels, images, k)
            self.add_module(f"conv{k + 1}", started(layer, gain_of(name)))
            convolutions.append(layer)
        self._convolutions, self._flat = tuple(convolutions), settings.channels[-1] * images.pixels[-1]
        self._layers = add_dense(self, self._flat + joint, settings.hidden, outputs, name, gain)

    def forward(self, observation: torch.Tensor, joint: torch.Tensor | None = None) -> torch.Tensor:
        """(M, *shape), (M, joint) -> (M, outputs)."""
        x = observation.view(-1, *self._images.taken).permute(self._images.innermost).contiguous()
        x = x.view(self._convolutions[0].before, -1)
        for layer in self._convolutions:
            x = self._between(layer.forward(x))
        return dense(x.view(self._flat, -1).t(), joint, self._layers, self._between)
