"""What is measured of many agents a block at a time is what is measured of all of them at once."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netac.agents.parameters import Layout, Parameters
from netac.experiment import measures, summary


@given(st.integers(1, 40), st.integers(1, 45), st.sampled_from(["float32", "float64"]), st.integers(0, 2**32))
def test_disagreement_and_the_hash_do_not_depend_on_the_block(agents, block, dtype, seed):
    layout = Layout(omega=2, lam=3, theta=4, shared=3, mu=1, mixed=("omega", "lam", "shared"), dtype=dtype)
    whole = Parameters(layout, agents)
    whole.flat[:] = np.random.default_rng(seed).standard_normal(whole.flat.shape)
    with pytest.MonkeyPatch.context() as patch:
        for module in (measures, summary):
            patch.setattr(module, "ROWS", block)
        found, digest = measures.disagreement(whole.flat, layout), summary.parameters_sha256(whole.flat, layout)
    for name, x in {"omega": whole.omega, "lambda": whole.lam, "policy": whole.shared}.items():
        assert found[f"consensus_error_{name}"] == float(np.square(x - x.mean(axis=0)).sum(axis=1).mean())
    assert digest == hashlib.sha256(whole.hashed()).hexdigest()
