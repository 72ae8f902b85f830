"""Passes of convolutions without torch; what they are shown, and in which order it lies in memory.

Images are kept with the samples innermost, (C, H, W, M), and a convolution is one product of its weights, a matrix,
with the windows: an overlapping view of the images whose copying moves long runs of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from netac.agents.networks._kernel import (
    ACTIVATIONS,
    Activation,
    DenseKernel,
    Layer,
    Tensor,
    Workspace,
    dense_backward,
    dense_forward,
    dense_tangents,
)


class Images(NamedTuple):
    """What convolutions are shown, and how they look at it.

    Attributes:
        shape: (H, W, C) of an observation.
        first: whether observations come as (C, H, W).
        sizes: height and width of the image and of what every convolution gives.
        kernel, stride, padding: height and width of a window, pixels between windows, zeros around an image.
    """

    shape: tuple[int, ...]
    first: bool
    sizes: tuple[tuple[int, int], ...]
    kernel: int
    stride: int
    padding: int

    @property
    def pixels(self) -> list[int]:
        """Of the image and of what every convolution gives."""
        return [height * width for height, width in self.sizes]

    @property
    def taken(self) -> tuple[int, ...]:
        """The shape in which an observation is taken."""
        return (self.shape[2], *self.shape[:2]) if self.first else self.shape

    @property
    def innermost(self) -> tuple[int, ...]:
        """The axes of samples taken so, in the order channels, height, width, samples."""
        return (1, 2, 3, 0) if self.first else (3, 1, 2, 0)


def after(size: tuple[int, int], kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Height and width of what a convolution gives."""
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    return height, width


class _Weights(NamedTuple):
    convolutions: list[Layer]
    head: list[Layer]


@dataclass(frozen=True)
class ImageKernel:
    """The passes of `netac.agents.networks.cnn.Cnn`; see `netac.agents.networks._kernel.Kernel`.

    Attributes:
        channels: of the convolutions.
        head: the dense layers of what these give, with the activation of them all.
    """

    images: Images
    channels: tuple[int, ...]
    head: DenseKernel

    @property
    def widest(self) -> int:
        """Most numbers a sample has in a layer: those of windows."""
        before, around = (self.images.shape[2], *self.channels), self.images.kernel**2
        windows = (channels * around * pixels for channels, pixels in zip(before, self.images.pixels[1:], strict=False))
        return max(*windows, self.head.widest)

    def weights(self, tensor: Tensor) -> _Weights:
        """The layers' weights and biases."""
        names = [f"conv{k}" for k in range(1, len(self.channels) + 1)]
        return _Weights([Layer(tensor(f"{name}.weight"), tensor(f"{name}.bias")) for name in names],
                        self.head.weights(tensor))

    def held(self, weights: _Weights, samples: int) -> _Weights:
        """Copies for many forward passes of so many samples."""
        convolutions = [Layer(weight.copy(), bias.copy()) for weight, bias in weights.convolutions]
        return _Weights(convolutions, self.head.held(weights.head, samples))

    def forward(self, weights: _Weights, observations: Sequence[np.ndarray], joint: Sequence[np.ndarray] | None,
                work: Workspace) -> np.ndarray:
        """(g) observations (M, *shape) and joint actions (M, F) -> (g, M, outputs); images stay as "c<k>"."""
        (height, width, channels), (agents, M) = self.images.shape, (len(observations), len(observations[0]))
        x = work("c0", agents, channels, height * width * M)
        pixels = x.reshape(agents, channels, height, width, M)
        for row, own in zip(pixels, observations, strict=True):
            row[:] = own.reshape(M, *self.images.taken).transpose(self.images.innermost)
        for k, (weight, bias) in enumerate(weights.convolutions):
            z = work(f"c{k + 1}", agents, self.channels[k], self.images.pixels[k + 1] * M)
            np.matmul(weight, self._windows(k, x, M, work), out=z)
            z += bias
            self._between.apply(z)
            x = z
        return dense_forward(weights.head, self._seen(x, joint, M, work), self._between, work)

    def backward(self, weights: _Weights, gradients: _Weights, pull: np.ndarray, work: Workspace) -> None:
        """Write sum over samples of pull (g, M, outputs) x grad output into `gradients`."""
        agents, M = pull.shape[:2]
        d = dense_backward(weights.head, gradients.head, pull, self._between, work)
        flat = work("flat", agents, self.head.inputs, M)
        np.matmul(weights.head[0].weight[:, :, :self.head.inputs].swapaxes(1, 2), d.swapaxes(1, 2), out=flat)
        d = flat.reshape(agents, self.channels[-1], -1)
        for k in reversed(range(len(self.channels))):
            below = work[f"c{k + 1}"]
            self._between.pull(d, below, work(f"scratch{k}", *d.shape))
            np.matmul(d, work[f"w{k}"].swapaxes(1, 2), out=gradients.convolutions[k].weight)
            np.matmul(d, work.ones(d.shape[2]).swapaxes(1, 2), out=gradients.convolutions[k].bias)
            if k:
                d = self._gathered(k, np.matmul(weights.convolutions[k].weight.swapaxes(1, 2), d,
                                                out=work(f"v{k}", *work[f"w{k}"].shape)), M, work)

    def slopes(self, weights: _Weights, pull: np.ndarray, work: Workspace) -> np.ndarray:
        """pull x d output / d joint action: (g, M, F)."""
        return self.head.slopes(weights.head, pull, work)

    def tangents(self, weights: _Weights, directions: _Weights, work: Workspace) -> np.ndarray:
        """The derivative of the outputs along `directions`: (g, M, outputs)."""
        t, M = None, work["a0"].shape[1]
        for k, ((weight, _), (along, beside)) in enumerate(
                zip(weights.convolutions, directions.convolutions, strict=True)):
            moved = np.matmul(along, work[f"w{k}"])
            moved += beside
            if t is not None:
                moved += np.matmul(weight, self._windows(k, t, M, work, "t"))
            self._between.pull(moved, work[f"c{k + 1}"], work(f"scratch{k}", *moved.shape))
            t = moved
        assert t is not None, "there is a convolution"
        return dense_tangents(weights.head, directions.head, self._seen(t, None, M, work, "t"), self._between, work)

    @property
    def _between(self) -> Activation:
        return ACTIVATIONS[self.head.activation]

    def _seen(self, x: np.ndarray, joint: Sequence[np.ndarray] | None, M: int, work: Workspace,
              name: str = "") -> np.ndarray:
        """What the dense layers see of images (g, channels, H W M) and joint actions (M, F): (g, M, inputs)."""
        turned = x.reshape(len(x), self.head.inputs, M).swapaxes(1, 2)
        if joint is None:
            return turned
        seen = work(f"{name}x", len(x), M, self.head.inputs + self.head.joint)
        seen[:, :, :self.head.inputs] = turned
        for row, others in zip(seen, joint, strict=True):
            row[:, self.head.inputs:] = others
        return seen

    def _windows(self, k: int, x: np.ndarray, M: int, work: Workspace, name: str = "") -> np.ndarray:
        """The windows of convolution k in images (g, C, H W M): (g, C kernel kernel, H' W' M), "w<k>"."""
        (kernel, stride, padding), agents, channels = self.images[3:], len(x), x.shape[1]
        (height, width), (high, wide) = self.images.sizes[k:k + 2]
        if padding:
            images = work(f"{name}p{k}", agents, channels, height + 2 * padding, width + 2 * padding, M)
            images.fill(0.0)
            images[:, :, padding:-padding, padding:-padding] = x.reshape(agents, channels, height, width, M)
        else:
            images = x.reshape(agents, channels, height, width, M)
        windows = work(f"{name}w{k}", agents, channels * kernel * kernel, high * wide * M)
        agent, channel, row, pixel, sample = images.strides
        windows.reshape(agents, channels, kernel, kernel, high, wide, M)[:] = as_strided(
            images, (agents, channels, kernel, kernel, high, wide, M),
            (agent, channel, row, pixel, row * stride, pixel * stride, sample))
        return windows

    def _gathered(self, k: int, d: np.ndarray, M: int, work: Workspace) -> np.ndarray:
        """Derivatives in the windows of convolution k, shaped as these, summed over windows: in its images."""
        (kernel, stride, padding), agents, channels = self.images[3:], len(d), self.channels[k - 1]
        (height, width), (high, wide) = self.images.sizes[k:k + 2]
        windows = d.reshape(agents, channels, kernel, kernel, high, wide, M)
        images = work(f"g{k}", agents, channels, height + 2 * padding, width + 2 * padding, M)
        images.fill(0.0)
        for row, column in product(range(kernel), repeat=2):
            into = images[:, :, row:row + stride * high:stride, column:column + stride * wide:stride]
            into += windows[:, :, row, column]
        if padding:
            images = np.ascontiguousarray(images[:, :, padding:-padding, padding:-padding])
        return images.reshape(agents, channels, height * width * M)
