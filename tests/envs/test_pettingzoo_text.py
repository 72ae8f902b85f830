"""Spaces of gymnasium written as JSON and read back."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from programs.zoo import MIXED

from netac.envs._pettingzoo_text import as_table, from_table

DTYPES = st.sampled_from([np.uint8, np.int32, np.int64, np.float32, np.float64])


@st.composite
def boxes(draw):
    dtype, shape = np.dtype(draw(DTYPES)), tuple(draw(st.lists(st.integers(1, 3), max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    low = np.asarray(rng.integers(0, 100, shape) if dtype.kind in "iu" else rng.normal(size=shape)).astype(dtype)
    high = low + np.asarray(rng.integers(0, 100, shape)).astype(dtype)
    if dtype.kind == "f" and draw(st.booleans()):
        low = np.where(rng.random(shape) < 0.5, -np.inf, low).astype(dtype)
    return spaces.Box(low, np.asarray(high, dtype), shape, dtype)


LEAVES = st.one_of(
    boxes(), st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 9), st.integers(-5, 5)),
    st.builds(spaces.MultiBinary, st.one_of(st.integers(1, 4), st.lists(st.integers(1, 3), min_size=1, max_size=2))),
    st.builds(lambda n, start: spaces.MultiDiscrete(n, start=[start] * len(n)),
              st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(-3, 3)))
SPACES = st.recursive(LEAVES, lambda inner: st.one_of(
    st.builds(spaces.Dict, st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3)),
    st.builds(spaces.Tuple, st.lists(inner, min_size=1, max_size=3))), max_leaves=5)


@settings(max_examples=150)
@given(space=SPACES)
def test_a_space_comes_back(space):
    back = from_table(json.loads(json.dumps(as_table(space), allow_nan=False)))
    assert back == space and repr(back) == repr(space)
    if isinstance(space, spaces.Dict):
        assert list(back.spaces) == list(space.spaces)


@pytest.mark.parametrize("space", [space for pair in MIXED.values() for space in pair])
def test_the_spaces_of_the_tests_come_back(space):
    assert from_table(json.loads(json.dumps(as_table(space), allow_nan=False))) == space


@pytest.mark.parametrize("space", [spaces.Text(3), spaces.Dict({1: spaces.Discrete(2)}), spaces.Tuple([spaces.Text(1)]),
                                   spaces.Sequence(spaces.Discrete(2))])
def test_what_has_no_table_is_said(space):
    with pytest.raises(ValueError, match=r"cannot be written|are not texts"):
        as_table(space)
