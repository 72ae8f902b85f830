"""Whole numbers of a few bits each, packed one behind the other: field k of a row is in its bits k b to k b + b - 1.

Bits count from the lowest of a byte, and bytes as they travel; what is left of the last byte is zero.
"""

from __future__ import annotations

import numpy as np

WORD = 32                # bits of a field at most, and of what is put together at a time


def packed_bytes(count: int, size: int) -> int:
    """How many bytes `count` fields of `size` bits take."""
    return -(-count * size // 8)


def pack(fields: np.ndarray, size: int) -> np.ndarray:
    """Whole numbers (n, K), K > 0, below 2^size, of at most 32 bits, as (n, packed_bytes(K, size)) bytes."""
    n, count = fields.shape
    if size == 0:
        return np.zeros((n, 0), np.uint8)
    if size == 1:
        return np.packbits(fields.astype(bool, copy=False), axis=1, bitorder="little")
    if size in (8, 16, 32):
        return as_bytes(fields.astype(f"<u{size // 8}"))
    if size < 16:                                                        # two fields are one of twice the size
        pairs = np.zeros((n, -(-count // 2)), np.uint32)
        pairs[:, :count // 2] = fields[:, 1::2]
        pairs <<= np.uint32(size)
        pairs |= fields[:, ::2].astype(np.uint32, copy=False)
        return pack(pairs, 2 * size)[:, :packed_bytes(count, size)]
    word, shift = _places(count, size)
    first = -(-WORD * np.arange(word[-1] + 1) // size)                   # of the fields that begin in each word
    shifted = fields.astype(np.uint64)
    shifted <<= shift
    reaching = np.bitwise_or.reduceat(shifted, first, axis=1)            # a word's fields reach into the next one
    words = np.zeros((n, len(first) + 1), "<u4")
    words[:, :-1] = reaching & np.uint64(2**WORD - 1)
    words[:, 1:] |= (reaching >> np.uint64(WORD)).astype("<u4")
    return as_bytes(words)[:, :packed_bytes(count, size)]


def unpack(packed: np.ndarray, count: int, size: int) -> np.ndarray:
    """The `count` fields of each row that `pack` has packed: (n, bytes) -> (n, count), unsigned."""
    n, length = packed.shape
    if size == 0:
        return np.zeros((n, count), np.uint8)
    if size == 1:
        return np.unpackbits(packed, axis=1, count=count, bitorder="little")
    if size in (8, 16, 32):
        return as_numbers(packed, np.dtype(f"<u{size // 8}"))
    if size < 16:
        pairs = unpack(packed, -(-count // 2), 2 * size)
        fields = np.empty((n, count), pairs.dtype)
        np.bitwise_and(pairs, pairs.dtype.type(2**size - 1), out=fields[:, ::2])
        np.right_shift(pairs[:, :count // 2], pairs.dtype.type(size), out=fields[:, 1::2])
        return fields
    word, shift = _places(count, size)
    words = np.zeros((n, word[-1] + 2), "<u4")
    words.view(np.uint8)[:, :length] = packed
    reaching = words[:, 1:].astype(np.uint64)
    reaching <<= np.uint64(WORD)
    reaching |= words[:, :-1]
    fields = reaching.take(word, axis=1)
    fields >>= shift
    fields &= np.uint64(2**size - 1)
    return fields.astype(np.uint32)


def as_bytes(numbers: np.ndarray) -> np.ndarray:
    """(n, K) numbers as (n, K itemsize) bytes, the lowest first."""
    little = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(len(numbers), numbers.shape[1] * numbers.itemsize)


def as_numbers(packed: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What `as_bytes` was given: (n, K itemsize) -> (n, K) of `dtype`."""
    little = np.ascontiguousarray(packed).view(dtype.newbyteorder("<"))
    return little.reshape(len(packed), packed.shape[1] // dtype.itemsize).astype(dtype.newbyteorder("="), copy=False)


def _places(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The word in which each field begins, and at which of its bits: (count,) each."""
    bit = size * np.arange(count)
    return bit // WORD, (bit % WORD).astype(np.uint64)
