"""Mirror learning: drifts by their definition, the algorithms that are instances of it, and a user's own functions."""

from __future__ import annotations

import csv
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from programs.mirrors import BAD, OUTSIDE
from support.neural_variants import PROGRAMS
from support.trainer_variants import experiment

import netac
from netac import cli
from netac.agents.distributions import Categorical, DiagonalGaussian
from netac.algorithms.policy_gradient.drifts import clip_drift, fault, kl_drift, mirrored, no_drift
from netac.algorithms.policy_gradient.surrogates import Surrogate, clipped, unclipped
from netac.utils.errors import RunError

SEEDS = st.integers(0, 10**6)
INSTANCES = {"happo": "clip", "happo-gaussian": "clip", "happo-masked": "clip", "happo-five": "clip",
             "happo-alone": "clip", "happo-optimal": "clip", "haa2c": "none", "haa2c-five": "none"}


def same(one: Surrogate, other: Surrogate) -> bool:
    """Whether surrogates are equal, their gradients in every bit."""
    return np.array_equal(one.weights, other.weights) and np.allclose(
        [one.value, one.improvement], [other.value, other.improvement], rtol=1e-12, atol=1e-12)


@settings(max_examples=50)
@given(seed=SEEDS, epsilon=st.floats(0.01, 2.0), masked=st.booleans())
def test_less_these_drifts_surrogates_are_those_of_happo_and_haa2c(seed, epsilon, masked):
    rng = np.random.default_rng(seed)
    log_ratio, M = rng.normal(0, 1.0, (3, 17)), rng.normal(0, 2.0, (3, 17))
    active = rng.random((3, 17)) < 0.5 if masked else None
    assert same(mirrored(log_ratio, M, active, drift=no_drift), unclipped(log_ratio, M, active))
    assert same(mirrored(log_ratio, M, active, drift=partial(clip_drift, epsilon=epsilon)),
                clipped(log_ratio, M, active, epsilon=epsilon))


@settings(max_examples=50)
@given(seed=SEEDS, c=st.floats(0.01, 100.0))
def test_the_mean_of_the_kl_drift_is_the_kl_divergence(seed, c):
    rng = np.random.default_rng(seed)
    old, new = (Categorical(rng.normal(0, 2.0, (7, 5))) for _ in range(2))
    values, _ = kl_drift(new.log_probabilities - old.log_probabilities, np.zeros((7, 5)), c)
    np.testing.assert_allclose((old.probabilities * values).sum(axis=1), c * old.kl(new), rtol=1e-9, atol=1e-12)
    x, weights = np.polynomial.hermite_e.hermegauss(60)                # of normal actions, by quadrature
    one = DiagonalGaussian(np.zeros((60, 1)), np.zeros(1))
    other = DiagonalGaussian(np.full((60, 1), rng.normal(0, 0.3)), rng.normal(0, 0.2, 1))
    values, _ = kl_drift(other.log_prob(x[:, None]) - one.log_prob(x[:, None]), np.zeros(60), c)
    assert weights @ values / weights.sum() == pytest.approx(c * one.kl(other)[0], rel=1e-6)


@pytest.mark.parametrize("drift", [no_drift, *(partial(clip_drift, epsilon=e) for e in (0.01, 0.2, 50.0)),
                                   *(partial(kl_drift, coefficient=c) for c in (0.0, 1e-3, 1.0, 1e6))])
def test_the_built_in_drifts_are_drifts(drift):
    assert fault(drift) is None


@settings(max_examples=8)
@given(power=st.floats(1.5, 4.0), c=st.floats(1e-3, 1e3))
def test_powers_of_the_log_ratio_are_drifts_unless_they_are_steep_at_0(power, c):
    def drift(p):
        return lambda x, M: (c * np.abs(x) ** p * (1.0 + M**2),
                             c * p * np.sign(x) * np.abs(x) ** (p - 1.0) * (1.0 + M**2))
    assert fault(drift(power)) is None and "gradient" in (fault(drift(1.0)) or "")


@pytest.mark.parametrize("name", INSTANCES)
def test_happo_and_haa2c_are_instances_in_every_bit(name):
    tables = experiment(name)
    mirrored = tables | {"algorithm": tables["algorithm"] | {"name": "haml", "drift": INSTANCES[name]}}
    one, other = netac.run(tables), netac.run(mirrored)
    assert one.summary["parameters_sha256"] == other.summary["parameters_sha256"]
    assert one.summary["bytes_trainer_per_agent"] == other.summary["bytes_trainer_per_agent"]


def haml(name: str = "haml", **options) -> dict:
    """An experiment with other drifts or neighbourhoods."""
    tables = experiment(name)
    return tables | {"algorithm": {key: value for key, value in (tables["algorithm"] | options).items()
                                   if value is not None}}


def of(function: str, **kwargs) -> dict:
    """A function of `tests/programs/mirrors.py`."""
    return {"factory": f"mirrors:{function}", "folder": PROGRAMS, "kwargs": kwargs}


def test_functions_of_ones_own_do_what_the_built_in_ones_do():
    built_in = netac.run(haml(drift="kl", neighbourhood="kl", delta=1e-4)).parameters["theta"]
    own = netac.run(haml(drift=of("kl"), neighbourhood=of("near", delta=1e-4))).parameters["theta"]
    other = netac.run(haml(drift=of("squares", most=1.0), neighbourhood=of("near", delta=1e-4))).parameters["theta"]
    np.testing.assert_allclose(own, built_in, rtol=0, atol=1e-6)
    assert np.abs(other - own).max() > 1e-4


@pytest.mark.parametrize("delta", [1e-6, 1e-3])
def test_no_policy_leaves_its_neighbourhood(delta, tmp_path):
    """Of runs whose policies go as far as they may, unless they have no bound."""
    def divergences(folder: str, **options) -> np.ndarray:
        netac.run(haml(drift="none", actor_step=0.1, **options), out=tmp_path / folder)
        with (tmp_path / folder / "diagnostics.csv").open() as file:
            return np.array([float(row["kl"]) for row in csv.DictReader(file) if row["agent"] != "all"])

    bounded, free = divergences("kl", delta=delta), divergences("everywhere", neighbourhood="everywhere")
    assert delta / 100 < np.median(bounded) and bounded.max() <= delta < np.median(free)


def test_a_policy_without_a_place_to_go_stays_where_it_is():
    assert haml()["algorithm"]["neighbourhood"] == "kl"
    start = netac.run(haml(actor_step=0.0)).parameters["theta"]
    moved = netac.run(haml(neighbourhood=of("widest", most=1e-5), backtracks=1, actor_step=1.0)).parameters["theta"]
    np.testing.assert_array_equal(start, moved)


def said(tables: dict, tmp_path, monkeypatch, capfd) -> tuple[int, str]:
    """With which status `netac run` ends, and what it says."""
    file = tmp_path / "mirror.toml"
    file.write_text(tomli_w.dumps(tables))
    monkeypatch.setattr(sys, "argv", ["netac", "run", str(file), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capfd.readouterr().err.partition("netac: error: ")[2]


NO_DRIFT = {
    "not zero": "at the old policy it is 1, not 0", "negative": "it is negative",
    "negative for some M": "it is negative", "not flat": "its gradient is not 0 at the old policy",
    "a gradient at the old policy": "its gradient is not 0 at the old policy", "one array": "two double arrays",
    "one number": "two double arrays",
    "another derivative": "is not the first one's derivative", "too large": "it is not finite",
    "of other samples": "for samples together than one by one", "failing": "it fails: IndexError"}
NO_NEIGHBOURHOOD = {"nowhere": "leaves out the old policy", "only itself": "or all policies near it",
                    "not a truth": "gives float64, not true or false", "failing": "fails: IndexError"}
REFUSED = {
    **{f"a drift: {which}": ({"drift": of("bad", which=which)}, "algorithm.drift.factory", text)
       for which, text in NO_DRIFT.items()},
    **{f"a neighbourhood: {which}": ({"neighbourhood": of("outside", which=which)}, "algorithm.neighbourhood.factory",
                                      text) for which, text in NO_NEIGHBOURHOOD.items()},
    "nothing": ({"drift": of("nothing")}, "algorithm.drift.factory", "no function (found 'NoneType'"),
    "nobody's": ({"drift": of("nobodys")}, "algorithm.drift.factory", "cannot be imported"),
    "given what it does not take": ({"drift": of("squares", least=1.0)}, "algorithm.drift.kwargs", "cannot be called"),
    "unknown": ({"drift": "bregman"}, "algorithm.drift", "found 'bregman'"),
    "unknown neighbourhood": ({"neighbourhood": "tv"}, "algorithm.neighbourhood", "found 'tv'"),
    "a negative coefficient": ({"drift_coefficient": -1.0}, "algorithm.drift_coefficient", "found -1.0"),
}


def test_every_bad_function_is_refused():
    assert BAD.keys() == NO_DRIFT.keys() and OUTSIDE.keys() == NO_NEIGHBOURHOOD.keys()


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_drift_or_no_neighbourhood_is_refused_at_the_start(what, tmp_path, monkeypatch, capfd):
    options, key, text = REFUSED[what]
    status, told = said(haml(**options), tmp_path, monkeypatch, capfd)
    assert status == 2 and told.count("\n") == 1, told
    assert f"mirror.toml: {key}: " in told and text in told and "valid: " in told, told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_what_turns_out_to_be_no_drift_ends_the_run_with_one_message(fails, tmp_path, monkeypatch, capfd):
    status, told = said(haml(drift=of("late", fails=fails), minibatches=1), tmp_path, monkeypatch, capfd)
    expected = "fails: ZeroDivisionError: nothing is left" if fails else "is none: it is negative"
    assert status == 1 and told.count("\n") == 1 and f"the drift mirrors:late {expected}" in told, told


def test_a_neighbourhood_that_fails_later_ends_the_run():
    with pytest.raises(RunError, match="the neighbourhood mirrors:narrow fails: KeyError"):
        netac.run(haml(neighbourhood=of("narrow")))


@pytest.fixture
def vanishing(tmp_path) -> Path:
    """A module of a user's with a drift."""
    return Path(shutil.copy(Path(PROGRAMS) / "mirrors.py", tmp_path / f"mirrors_of_{tmp_path.name}.py"))


def spread(module: Path) -> dict:
    """An experiment whose drift is in the module."""
    drift = {"factory": f"{module.stem}:kl", "folder": str(module.parent)}
    return haml(drift=drift) | {"env": {"name": "spread", "max_cycles": 4}}


def test_agents_are_played_without_what_they_learned_by(vanishing, tmp_path):
    """A finished run is evaluated without its user's functions, and without trust in them."""
    netac.run(spread(vanishing), out=tmp_path / "run")
    vanishing.unlink()
    sys.modules.pop(vanishing.stem)
    assert netac.evaluate(tmp_path / "run", episodes=2).summary()["ended"] == 2


def test_a_drift_that_was_changed_is_noticed_when_a_run_goes_on(vanishing, tmp_path):
    netac.run(spread(vanishing), out=tmp_path / "run", until=2)
    vanishing.write_text(vanishing.read_text() + "\n")
    with pytest.raises(netac.InputError, match=rf"algorithm\.drift\.factory.*{vanishing.stem}.* was changed"):
        netac.run(spread(vanishing), out=tmp_path / "run", resume=True)
