"""Passes through networks of alike agents as products of matrices over their rows, without torch.

A built-in network whose file has `kernel(settings, observation, outputs, joint)` gives such a `Kernel`, or None for
options that it has none for; its torch module is what the tests hold it against.  Arrays have the leading axis
"agents", g of them, and no agent's numbers depend on which are beside it: every product is one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np

from netac.agents.alignment import NUMBERS, aligned, is_ready

Tensor = Callable[[str], np.ndarray]      # a name -> (g, *shape), a view of the agents' rows


class Workspace:
    """Single-precision arrays by name whose memory is used again; what lies along axis 0 begins at 64 bytes."""

    def __init__(self) -> None:
        self._memory: dict[str, np.ndarray] = {}
        self._arrays: dict[str, np.ndarray] = {}

    def __call__(self, name: str, *shape: int) -> np.ndarray:
        """The array of that name; its numbers are those written last, as long as the shape stays."""
        array = self._arrays.get(name)
        if array is None or array.shape != shape:
            array = self._arrays[name] = self._carved(name, shape)
        return array

    def hold(self, name: str, array: np.ndarray) -> np.ndarray:
        """Let `array` be the one of that name until the name is asked for with another shape."""
        self._arrays[name] = array
        return array

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def ones(self, samples: int) -> np.ndarray:
        """(1, 1, M) ones: a product with them is a sum over samples."""
        found = self._arrays.get("ones")
        if found is None or found.shape[-1] != samples:
            found = self("ones", 1, 1, samples)
            found.fill(1.0)
        return found

    def _carved(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        items, size = shape[0], prod(shape[1:])
        padded = -(-size // NUMBERS) * NUMBERS
        memory = self._memory.get(name)
        if memory is None or memory.size < items * padded:
            memory = self._memory[name] = aligned(1, items * padded)[0]
        return memory[:items * padded].reshape(items, padded)[:, :size].reshape(shape)


class Kernel(Protocol):
    """Passes of g agents; equal kernels are those of alike agents.

    `forward` leaves in the workspace what the others read.
    """

    @property
    def widest(self) -> int:
        """Most numbers a sample has in a layer."""

    def weights(self, tensor: Tensor) -> Any:
        """The tensors as the passes use them: views."""

    def held(self, weights: Any, samples: int) -> Any:
        """Copies of the weights for many forward passes of so many samples, a few, laid out as these are fastest."""

    def forward(self, weights: Any, observations: Sequence[np.ndarray], joint: Sequence[np.ndarray] | None,
                work: Workspace) -> np.ndarray:
        """(g) observations (M, *shape) and joint actions (M, F) -> (g, M, outputs), valid until the next pass."""

    def backward(self, weights: Any, gradients: Any, pull: np.ndarray, work: Workspace) -> None:
        """Write sum over samples of pull (g, M, outputs) x grad output into `gradients`, tensors as `weights` are."""

    def slopes(self, weights: Any, pull: np.ndarray, work: Workspace) -> np.ndarray:
        """pull x d output / d joint action: (g, M, F)."""

    def tangents(self, weights: Any, directions: Any, work: Workspace) -> np.ndarray:
        """The derivative of the outputs along `directions`, tensors as `weights` are: (g, M, outputs)."""


class Activation(NamedTuple):
    """A function between layers, in place.

    Attributes:
        apply: z <- f(z).
        pull: (d, a, scratch): d <- d f'(z), given a = f(z).
    """

    apply: Callable[[np.ndarray], object]
    pull: Callable[[np.ndarray, np.ndarray, np.ndarray], object]


def _tanh_pull(d: np.ndarray, a: np.ndarray, scratch: np.ndarray) -> None:
    np.multiply(a, a, out=scratch)
    np.subtract(1.0, scratch, out=scratch)
    d *= scratch


def _elu(z: np.ndarray) -> None:
    below = np.expm1(np.minimum(z, 0.0))
    np.maximum(z, below, out=z)


def _elu_pull(d: np.ndarray, a: np.ndarray, scratch: np.ndarray) -> None:
    np.minimum(a, 0.0, out=scratch)
    scratch += 1.0
    d *= scratch


ACTIVATIONS = {
    "tanh": Activation(lambda z: np.tanh(z, out=z), _tanh_pull),
    "relu": Activation(lambda z: np.maximum(z, 0.0, out=z), lambda d, a, _: np.multiply(d, a > 0.0, out=d)),
    "elu": Activation(_elu, _elu_pull)}


class Layer(NamedTuple):
    """A dense layer's weights (g, outputs, inputs) and bias (g, 1, outputs), or of a convolution (g, channels, 1)."""

    weight: np.ndarray
    bias: np.ndarray


def dense_layers(tensor: Tensor, count: int) -> list[Layer]:
    """Those of `netac.agents.networks._layers.add_dense`, `count` hidden ones and the output's."""
    names = [*(f"dense{k}" for k in range(1, count + 1)), "output"]
    return [Layer(tensor(f"{name}.weight"), tensor(f"{name}.bias")[:, None, :]) for name in names]


def dense_held(layers: list[Layer], samples: int) -> list[Layer]:
    """Copies of the layers as `dense_forward` takes them fastest: weights transposed, a bias for every sample."""
    return [Layer(np.ascontiguousarray(weight.swapaxes(1, 2)).swapaxes(1, 2), bias.repeat(samples, axis=1))
            for weight, bias in layers]


def dense_forward(layers: list[Layer], x: np.ndarray, between: Activation, work: Workspace) -> np.ndarray:
    """a_k = f(a_{k-1} W_k' + b_k), the last one without f: (g, M, inputs) -> (g, M, outputs); a_k stays as "a<k>"."""
    a = work.hold("a0", x)
    for k, (weight, bias) in enumerate(layers, 1):
        z = work(f"a{k}", *x.shape[:2], weight.shape[1])
        np.matmul(a, weight.swapaxes(1, 2), out=z)
        z += bias
        if k < len(layers):
            between.apply(z)
        a = z
    return a


def dense_backward(layers: list[Layer], gradients: list[Layer] | None, d: np.ndarray, between: Activation,
                   work: Workspace) -> np.ndarray:
    """From d = dL/da at the output down to dL/dz of the first layer, (g, M, its outputs).

    Args:
        gradients: filled with sum over samples of d a_{k-1}' and of d; None: not wanted.
    """
    for k in reversed(range(len(layers))):
        below = work[f"a{k}"]
        if gradients is not None:
            np.matmul(d.swapaxes(1, 2), below, out=gradients[k].weight)
            np.matmul(work.ones(d.shape[1]), d, out=gradients[k].bias)
        if k:
            d = _through(layers[k].weight, d, work(f"d{k}", *below.shape))
            between.pull(d, below, _scratch(work, d))
    return d


def dense_tangents(layers: list[Layer], directions: list[Layer], t: np.ndarray | None, between: Activation,
                   work: Workspace) -> np.ndarray:
    """The derivative of the output along `directions` and along t (g, M, inputs) of the inputs: (g, M, outputs)."""
    for k, ((weight, _), (along, beside)) in enumerate(zip(layers, directions, strict=True)):
        moved = work(f"t{k + 1}", *work[f"a{k + 1}"].shape)
        np.matmul(work[f"a{k}"], along.swapaxes(1, 2), out=moved)
        moved += beside
        if t is not None:
            moved += np.matmul(t, weight.swapaxes(1, 2), out=_scratch(work, moved))
        if k + 1 < len(layers):
            between.pull(moved, work[f"a{k + 1}"], _scratch(work, moved))
        t = moved
    assert t is not None, "there is an output layer"
    return t


def _through(weight: np.ndarray, d: np.ndarray, out: np.ndarray) -> np.ndarray:
    """d W, (g, M, inputs); with a single output a product of numbers: NumPy's of such matrices is ten times slower."""
    return (np.multiply if d.shape[2] == 1 else np.matmul)(d, weight, out=out)


def _scratch(work: Workspace, like: np.ndarray) -> np.ndarray:
    """An array of that shape for numbers that nobody reads again."""
    return work(f"scratch{like.shape[2]}", *like.shape)


@dataclass(frozen=True)
class DenseKernel:
    """The passes of `netac.agents.networks.mlp.Mlp`; see `Kernel`.

    Attributes:
        inputs: numbers of an observation.
        joint: F, numbers of a joint action; 0: none.
    """

    inputs: int
    joint: int
    hidden: tuple[int, ...]
    outputs: int
    activation: str

    @property
    def widest(self) -> int:
        """Most numbers a sample has in a layer."""
        return max(self.inputs + self.joint, *self.hidden, self.outputs)

    def weights(self, tensor: Tensor) -> list[Layer]:
        """The layers' weights and biases."""
        return dense_layers(tensor, len(self.hidden))

    def held(self, weights: list[Layer], samples: int) -> list[Layer]:
        """Copies for many forward passes of so many samples."""
        return dense_held(weights, samples)

    def forward(self, weights: list[Layer], observations: Sequence[np.ndarray], joint: Sequence[np.ndarray] | None,
                work: Workspace) -> np.ndarray:
        """(g) observations (M, *shape) and joint actions (M, F) -> (g, M, outputs)."""
        return dense_forward(weights, self._inputs(observations, joint, work), ACTIVATIONS[self.activation], work)

    def _inputs(self, observations: Sequence[np.ndarray], joint: Sequence[np.ndarray] | None,
                work: Workspace) -> np.ndarray:
        """(g, M, inputs + F); an observation that may be used where it lies is not copied."""
        if len(observations) == 1 and joint is None and is_ready(observations[0]):
            return observations[0].reshape(1, -1, self.inputs)
        x = work("x", len(observations), len(observations[0]), self.inputs + self.joint)
        for row, own in zip(x, observations, strict=True):
            row[:, :self.inputs] = own.reshape(len(own), -1)
        for row, others in zip(x, joint or [], strict=joint is not None):
            row[:, self.inputs:] = others
        return x

    def backward(self, weights: list[Layer], gradients: list[Layer], pull: np.ndarray, work: Workspace) -> None:
        """Write sum over samples of pull (g, M, outputs) x grad output into `gradients`."""
        dense_backward(weights, gradients, pull, ACTIVATIONS[self.activation], work)

    def slopes(self, weights: list[Layer], pull: np.ndarray, work: Workspace) -> np.ndarray:
        """pull x d output / d joint action: (g, M, F)."""
        d = dense_backward(weights, None, pull, ACTIVATIONS[self.activation], work)
        return np.matmul(d, weights[0].weight[:, :, self.inputs:])

    def tangents(self, weights: list[Layer], directions: list[Layer], work: Workspace) -> np.ndarray:
        """The derivative of the outputs along `directions`: (g, M, outputs)."""
        return dense_tangents(weights, directions, None, ACTIVATIONS[self.activation], work)
