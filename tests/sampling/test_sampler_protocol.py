"""What algorithms ask of samplers: those of finite environments and those of games answer all of it."""

from __future__ import annotations

import numpy as np
import pytest
from support import neural_variants, variants

from netac.experiment import config
from netac.experiment.build import Parts, assemble, prepare
from netac.sampling.protocol import RUNNING, SECOND, Sampler
from netac.utils.errors import RunError

ASKED = {*Sampler.__annotations__, *(name for name in vars(Sampler) if not name.startswith("_"))}


def parts_of(tables: dict) -> Parts:
    return assemble(prepare(config.read(tables).experiment()))


@pytest.mark.parametrize("tables", [variants.experiment("cac-double"), neural_variants.experiment("cac-staggered")],
                         ids=["tabular", "games"])
def test_both_samplers_answer_what_is_declared(tables):
    parts = parts_of(tables)
    sampler, again = parts.sampler, parts_of(tables).sampler
    assert len(ASKED) == 14 and not [name for name in ASKED if not hasattr(sampler, name)]
    assert len(sampler.feeds) == 2 and sampler.resumable
    theta, games = parts.agents.parameters.theta, sampler.games
    batch = sampler.sample(theta, 3)
    assert batch.r.shape == (len(theta), 3 * games) and sampler.tally.samples == 3 * games
    sampler.sample(theta, 1, feed=SECOND)
    assert sampler.privacy_noise(4).shape == (len(theta), 4)
    kept = {**sampler.state(), **{f"rows_{name}": rows for name, rows in sampler.rows.items()}}
    kept = {name: np.copy(array) for name, array in kept.items()}         # as a file would
    for name, rows in again.rows.items():
        rows[:] = kept[f"rows_{name}"]
    again.restore(kept)
    for feed in (RUNNING, SECOND):
        assert np.array_equal(sampler.sample(theta, 2, feed).r, again.sample(theta, 2, feed).r)
    sampler.close()
    again.close()


@pytest.mark.parametrize(("tables", "nbytes", "games"), [
    (variants.experiment("cac-double"), 1, 1), (neural_variants.experiment("cac"), 1, 3),
    (neural_variants.experiment("cac-gaussian"), 8, 3)])
def test_a_ledger_is_told_what_announcements_cost(tables, nbytes, games):
    ledger = parts_of(tables).ledger
    assert (ledger.action_bytes, ledger.games) == (nbytes, games)


def test_the_next_action_is_drawn_for_one_sample_at_a_time():
    parts = parts_of(variants.experiment("dac-action_value-average"))
    with pytest.raises(RunError, match="one sample at a time"):
        parts.sampler.sample(parts.agents.parameters.theta, 2)
