"""A fingerprint of the numeric kernels: machines with equal ones can be trusted to compute equal bits.

numpy, the BLAS behind it and torch choose their kernels by what the processor offers (AVX2, AVX-512, NEON, ...), and
those round the last bits of exp, tanh or a sum of products differently.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable

import numpy as np

SIZE = 1009      # values of each array: more than a vector register holds, and with a remainder


def fingerprint() -> dict[str, str]:
    """Of numpy's kernels, and of torch's where it is loaded: eight hexadecimal digits each, in some milliseconds."""
    found = {"numpy": _digest(_numpy_bits())}
    if sys.modules.get("torch") is not None:       # None: kept from being loaded
        found["torch"] = _digest(_torch_bits())
    return found


def _numpy_bits() -> Iterable[bytes]:
    """exp, log, tanh, sums of square roots, products of matrices and vectors: of fixed numbers, double and single."""
    for dtype in (np.float64, np.float32):
        x = _numbers(SIZE).astype(dtype)
        a, b = x[:704].reshape(32, 22), x[-682:].reshape(22, 31)
        products = (np.matmul(a, b), np.matmul(a, b[:, 0]), np.matmul(a[0], b), np.vecdot(a, b[:, 0]),
                    np.matmul(a[:5, None, :], x[:550].reshape(5, 22, 5)), np.vecdot(x, x[::-1].copy()))
        for values in (np.exp(x), np.log(np.abs(x) + dtype(0.5)), np.tanh(x), np.sqrt(np.abs(x)).sum(), *products):
            yield np.ascontiguousarray(values).tobytes()


def _torch_bits() -> Iterable[bytes]:
    """A dense layer, tanh and a convolution of fixed numbers, single precision."""
    torch = sys.modules["torch"]
    x = torch.tensor(_numbers(SIZE).astype(np.float32))      # in memory of torch's own, which is aligned
    functional, images = torch.nn.functional, x[:588].reshape(4, 3, 7, 7).clone()
    samples, weights = x[:704].reshape(32, 22), x[-682:].reshape(31, 22).clone()
    with torch.no_grad():
        for values in (functional.linear(samples, weights, x[:31]), torch.tanh(x),
                       functional.conv2d(images, x[:135].reshape(5, 3, 3, 3), x[:5])):
            yield values.numpy().tobytes()


def _numbers(size: int) -> np.ndarray:
    """Fixed numbers in [-4.1, 4.1], the same bits on every machine: quotients of whole numbers.

    By no power of 2, so that they fill their digits, and their products and sums are rounded in double precision, too.
    """
    return (np.arange(size, dtype=np.int64) * 7919 % 8191 - 4095) / 1009.0


def _digest(parts: Iterable[bytes]) -> str:
    hashed = hashlib.blake2b(digest_size=4)
    for part in parts:
        hashed.update(part)
    return hashed.hexdigest()
