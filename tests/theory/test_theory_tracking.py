"""The tracking experiment: the commons and CAC's mean field by hand and by iteration, and mutations of its claims."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from netac.theory import Claim, Lab, _commons, tracking
from netac.theory._commons import (
    CommonsRecord,
    CommonsRun,
    commons,
    critical_share,
    features,
    field_return,
    growth,
    largest_step,
    mixing,
    own_share,
    resolvent,
    resting_weights,
    seen,
    true_weights,
)

QUICK = Lab(quick=True)
N = tracking.AGENTS


def test_the_commons_by_hand():
    mdp, h = commons(3, 2.0), 2.0
    for j, x in enumerate(product((-1, 1), repeat=3)):
        wanted = [h * x[i] / 2 - sum((1 + h) * x[k] / 4 for k in range(3) if k != i) for i in range(3)]
        assert mdp.r[0, j] == pytest.approx(wanted) and mdp.team_reward[0, j] == pytest.approx(-np.mean(x) / 2)
    psi = features(3)
    np.testing.assert_allclose(psi @ true_weights(3, h).T, mdp.r[0], atol=1e-14)
    np.testing.assert_allclose(np.square(psi).sum(axis=1), 1.0)


def moments(mean_x, h):
    psi, agents = features(len(mean_x)), len(mean_x)
    p = np.array([np.prod([(1 + a * m) / 2 for a, m in zip(x, mean_x, strict=True)])
                  for x in product((-1, 1), repeat=agents)])
    return (psi * p[:, None]).T @ psi, (commons(agents, h).r[0] * p[:, None]).T @ psi


@pytest.mark.parametrize("mean_x", [np.zeros(4), np.array([0.5, -0.3, 0.0, 0.9])])
def test_weights_at_rest_are_those_of_the_iteration(mean_x):
    W, zeta = mixing("path", 4), 0.3
    B, c = moments(mean_x, 1.5)
    lam = np.zeros((4, 5))
    for _ in range(20_000):
        lam = W @ lam + zeta * (c - lam @ B)
    np.testing.assert_allclose(resting_weights(W, 1.5, zeta, mean_x), lam, atol=1e-8)


def test_at_uniform_policies_weights_are_means_of_all_agents():
    W = mixing("ring", 5)
    K = resolvent(W, 0.2 / 6)
    np.testing.assert_allclose(K.sum(axis=1), 1.0)
    np.testing.assert_allclose(K @ true_weights(5, 1.0), resting_weights(W, 1.0, 0.2, np.zeros(5)), atol=1e-12)
    np.testing.assert_allclose(own_share(W, 0.2), np.diag(K))


@pytest.mark.parametrize("h", [0.25, 1.0, 4.0])
def test_at_the_critical_own_weight_an_agent_has_nothing_to_choose(h):
    """A mean of all rewards with weight k on the own one and (1 - k) / (N - 1) on the others'."""
    k = critical_share(6, h)
    weights = np.full(6, (1 - k) / 5)
    weights[2] = k
    assert weights @ _commons.effects(6, h)[:, 2] == pytest.approx(0.0, abs=1e-12)


def test_nobody_takes_who_knows_the_mean_reward():
    assert field_return(np.full((4, 4), 0.25), 1.0, 1e-9, 400.0) > 0.48
    assert field_return(np.eye(2) * 0.999 + 0.0005, 3.0, 0.5, 400.0) < -0.3


@pytest.mark.parametrize("tracks", [False, True])
def test_growth_is_that_of_cacs_lines(tracks):
    """Errors of a recursion as CAC makes it, one sample again and again, whose trackers sum to the directions."""
    W, zeta, rng = mixing("path", 4), 0.15, np.random.default_rng(0)
    e = rng.normal(size=4)
    y, g, sizes = np.zeros(4), np.zeros(4), []
    for _ in range(300):
        if tracks:
            y, g = W @ y - e - g, -e
            e = W @ e + zeta * y
        else:
            e = W @ e - zeta * e
        sizes.append(np.abs(e).max())
    assert (max(sizes[270:]) / max(sizes[150:180])) ** (1 / 120) == pytest.approx(growth(W, zeta, tracks), abs=2e-3)
    assert growth(W, largest_step(W, tracks) + 1e-3, tracks) > 1.0


# --- mutations ---

ZETA = 0.4
CASES = ("lazy ring", "complete")
Get = Callable[[CommonsRun], CommonsRecord]


@pytest.fixture(scope="module")
def get() -> Get:
    """What a run gives; each is made once."""
    known: dict[str, CommonsRecord] = {}

    def found(run: CommonsRun) -> CommonsRecord:
        if str(run) not in known:
            known[str(run)] = seen(run)
        return known[str(run)]
    return found


def both(get: Get, name: str, T: int, alpha: float) -> list[CommonsRecord]:
    return [get(CommonsRun(N, tracking.GRAPHS[name], 1.0, ZETA, tracks, T, 0, alpha)) for tracks in (False, True)]


def of_biases(get: Get) -> list[Claim]:
    found = [both(get, name, 4_000, 0.0) for name in CASES]
    rows = [tracking.bias_row(name, 1.0, ZETA, *each) for name, each in zip(CASES, found, strict=True)]
    return tracking.bias_claims(QUICK, rows, [one for each in found for one in each])


def of_returns(get: Get) -> list[Claim]:
    return tracking.return_claims([tracking.return_row(name, 1.0, ZETA, 2_000, *both(get, name, 2_000, tracking.ALPHA))
                                   for name in CASES])


def of_steps(get: Get) -> list[Claim]:
    return tracking.stable_claims([tracking.stable_row(name, mixing(tracking.GRAPHS[name], N)) for name in CASES])


PARTS = {"biases": of_biases, "returns": of_returns, "steps": of_steps}


def never(get: Get) -> Get:
    """The option `tracking` is ignored."""
    return lambda run: get(run._replace(tracking=False))


def always(get: Get) -> Get:
    """All runs track."""
    return lambda run: get(run._replace(tracking=True))


RUNS = [
    ("biases", never, "tracking takes the error away"), ("biases", never, "more accurate at a time"),
    ("biases", never, "doubles the variance"), ("returns", always, "take from all"),
    ("returns", never, "with tracking no agent takes"),
]
CODE = [
    ("biases", tracking, "resting_weights", lambda W, h, zeta, x: resting_weights(W, h, 2.0 * zeta, x),
     "the mean of all agents' with weights K"),
    ("biases", tracking, "resolvent", lambda W, pull: resolvent(W, 2.0 * pull), "is at most zeta kappa"),
    ("biases", tracking, "resolvent", lambda W, pull: resolvent(W @ W, pull), "along the graph's slowest mode"),
    ("returns", tracking, "own_share", lambda W, zeta: 0.5 * own_share(W, zeta), "none does where all are 5 % below"),
    ("returns", tracking, "field_return", lambda W, h, zeta, time: field_return(W, h, zeta / 4.0, time),
     "runs end where the mean field does"),
    ("steps", _commons, "growth", lambda W, zeta, tracks: growth(W, 1.1 * zeta, tracks), "are stable up to 1 + w"),
    ("steps", _commons, "growth", lambda W, zeta, tracks: growth(W, zeta, False), "up to (1 + w)^2 / 2"),
]
SCALE = "the mean over agents is right"


@pytest.mark.parametrize("part", list(PARTS))
def test_all_claims_pass_and_have_a_mutation(get, part):
    claims = PARTS[part](get)
    assert not [claim.says for claim in claims if not claim.passes]
    told = [SCALE, *(claim for *_, claim in RUNS), *(claim for *_, claim in CODE)]
    assert all(any(claim in each.says for claim in told) for each in claims)


@pytest.mark.parametrize(("part", "mistake", "claim"), RUNS, ids=[claim for *_, claim in RUNS])
def test_runs_that_do_not_do_as_told_make_a_claim_fail(get, part, mistake, claim):
    assert any(claim in each.says for each in PARTS[part](mistake(get)) if not each.passes)


@pytest.mark.parametrize(("part", "module", "name", "wrong", "claim"), CODE, ids=[claim for *_, claim in CODE])
def test_a_mistake_makes_a_claim_fail(get, monkeypatch, part, module, name, wrong, claim):
    monkeypatch.setattr(module, name, wrong)
    assert any(claim in each.says for each in PARTS[part](get) if not each.passes)


def test_features_of_a_wrong_scale_make_a_claim_fail(get, monkeypatch):
    wrong = CommonsRun(N, "complete", 1.0, ZETA, False, 500, 0)
    monkeypatch.setattr(_commons, "features", lambda agents: 0.9 * features(agents))
    one = seen(wrong)
    claims = PARTS["biases"](lambda run: one if run.topology == "complete" else get(run))
    assert any(SCALE in each.says for each in claims if not each.passes)
