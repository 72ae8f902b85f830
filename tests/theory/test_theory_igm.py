"""The IGM counter-example: moves, exact fits and trained values against brute force; mutations are seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.theory import Lab, igm_failure
from netac.theory._factorisation import BATCH, begin, gradient, greedy, mixed, train

QUICK = Lab(quick=True)


# --- moves and exact fits ---

@pytest.mark.parametrize("mean", [-7.0, -1.0, 0.0, 1.0])
def test_tilted_policies_have_their_mean(mean):
    pi = igm_failure.tilted(mean)
    assert pi.sum() == pytest.approx(1.0) and pi @ igm_failure.ACTIONS == pytest.approx(mean) and pi.min() > 0.0
    np.testing.assert_allclose(np.diff(np.log(pi)), np.diff(np.log(pi))[0], atol=1e-9)


def test_moves_by_hand():
    for pi in np.random.default_rng(15).dirichlet(np.ones(21), (20, 2, 1)):
        means = pi[:, 0] @ igm_failure.ACTIONS
        best = [10 if means[1] > 0 else -10, 10 if means[0] > 0 else -10]
        assert (igm_failure.ACTIONS[igm_failure.together(pi)] == best).all()
        for order in ((0, 1), (1, 0)):
            answer = [best[order[0]]] * 2                       # the second agent answers the first one's new action
            assert (igm_failure.ACTIONS[igm_failure.in_turn(pi, order)] == answer).all()


def test_vdns_exact_fit_is_the_least_squares():
    rng = np.random.default_rng(16)
    payoff, pi = rng.standard_normal((3, 3)), rng.dirichlet(np.ones(3), 2)
    total, utilities = igm_failure.additive_fit(payoff, pi)
    X = np.array([np.concatenate([np.eye(3)[a], np.eye(3)[b]]) for a, b in np.ndindex(3, 3)])
    root = np.sqrt(np.outer(*pi)).ravel()
    wanted = X @ np.linalg.lstsq(root[:, None] * X, root * payoff.ravel())[0]
    np.testing.assert_allclose(total.ravel(), wanted)
    # E[r | a] up to a constant
    np.testing.assert_allclose(utilities[0] - payoff @ pi[1], (utilities[0] - payoff @ pi[1])[0])


# --- factorised values ---

@pytest.mark.parametrize("mixing", ["vdn", "qmix"])
def test_factorised_values_and_their_gradient_by_brute_force(mixing):
    rng = np.random.default_rng(17)
    x = begin(mixing, 2, 4, rng)
    actions, r = rng.integers(4, size=(2, 2, 5)), rng.standard_normal((2, 5))

    def plain(x, run: int, a) -> float:
        Q = [x["Q"][run, i, a[i]] for i in range(2)]
        if mixing == "vdn":
            return Q[0] + Q[1]
        total = x["c"][run, 0]
        for h in range(x["b"].shape[1]):
            z = sum(abs(x["W"][run, i, h]) * Q[i] for i in range(2)) + x["b"][run, h]
            total += abs(x["v"][run, h]) * (z if z > 0 else np.exp(z) - 1.0)
        return total

    for run, b in np.ndindex(2, 5):
        assert mixed(x, actions)[run, b] == pytest.approx(plain(x, run, actions[run, :, b]))
    def loss(x) -> float:
        return sum((plain(x, run, actions[run, :, b]) - r[run, b])**2 / 5 for run, b in np.ndindex(2, 5))

    for key, slopes in gradient(x, actions, r).items():
        for at in np.ndindex(*x[key].shape):
            ends = []
            for nudge in (1e-6, -1e-6):
                moved = {name: value.copy() for name, value in x.items()}
                moved[key][at] += nudge
                ends.append(loss(moved))
            assert slopes[at] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_qmixs_greedy_joint_action_is_the_largest_total(seed):
    """Monotonic mixing: each agent's best is jointly best (IGM)."""
    x = begin("qmix", 3, 5, np.random.default_rng(seed))
    every = np.indices((5, 5)).reshape(2, -1)
    totals = mixed(x, np.tile(every, (3, 1, 1)))
    best = np.take_along_axis(totals, (greedy(x) @ [5, 1])[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(best, totals.max(axis=1), atol=1e-14)


def test_training_is_adams():
    rng = np.random.default_rng(18)
    x, payoff = begin("vdn", 1, 3, rng), rng.standard_normal((3, 3))
    batches = rng.integers(3, size=(4, 1, 2, BATCH))
    got, seen = train(x, payoff, lambda t, best: batches[t], 4, 2)
    Q, m, v = x["Q"][0].copy(), np.zeros((2, 3)), np.zeros((2, 3))
    for t in range(4):
        slope = np.zeros((2, 3))
        if t % 2 == 0:
            assert seen[t // 2, 0] == payoff[tuple(Q.argmax(axis=1))]
        for a, b in batches[t, 0].T:
            for agent, action in ((0, a), (1, b)):
                slope[agent, action] += 2.0 * (Q[0, a] + Q[1, b] - payoff[a, b]) / BATCH
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        Q -= 0.01 * (m / (1 - 0.9**(t + 1))) / (np.sqrt(v / (1 - 0.999**(t + 1))) + 1e-8)
    np.testing.assert_allclose(got["Q"][0], Q)


@pytest.mark.parametrize("mixing", ["vdn", "qmix"])
def test_training_fits_what_can_be_factorised(mixing):
    """An additive payoff, of which the least error is 0."""
    rng = np.random.default_rng(19)
    payoff = np.add.outer([0.0, 0.5, 1.0], [0.3, 0.0, -0.4])
    x, _ = train(begin(mixing, 3, 3, rng), payoff, lambda t, best: rng.integers(3, size=(3, 2, BATCH)), 1500, 1500)
    every = np.indices((3, 3)).reshape(2, -1)
    assert np.abs(mixed(x, np.tile(every, (3, 1, 1))) - payoff.ravel()).max() < 0.05
    assert (greedy(x) == [2, 0]).all()


def test_batches_are_of_their_policies():
    runs, rng = 400, np.random.default_rng(20)
    best = np.tile([3, 17], (runs, 1))
    fixed = igm_failure.behaviour("fixed policies", runs, 100, rng)(50, best)
    np.testing.assert_allclose(igm_failure.ACTIONS[fixed].mean(axis=(0, 2)), igm_failure.MEANS, atol=0.2)
    for agent, mean in enumerate(igm_failure.MEANS):
        share = np.bincount(fixed[:, agent].ravel(), minlength=21) / fixed[:, agent].size
        np.testing.assert_allclose(share, igm_failure.tilted(mean), atol=6e-3)
    later, first = (igm_failure.behaviour("epsilon-greedy", runs, 100, rng)(t, best) for t in (10, 9))
    assert (later == best[..., None]).mean() == pytest.approx(0.8 + 0.2 / 21, abs=0.01)
    assert (first == best[..., None]).mean() < 0.1
    even = igm_failure.behaviour("uniform", runs, 100, rng)(0, best)
    np.testing.assert_allclose(np.bincount(even.ravel()) / even.size, 1 / 21, atol=4e-3)


# --- claims ---

def igm_claims(**share_best: float) -> set[str]:
    """With trained rows made up: what claims of training want, except for `share_best` by kind of data."""
    shares = {"fixed": 0.0, "uniform": 0.1, "epsilon": 1.0} | share_best
    return failing([igm_failure._row(mixing, data, np.where(np.arange(10) < 10 * share, 100.0, -100.0), np.ones(10))
                    for mixing in ("vdn", "qmix")
                    for data, share in zip(igm_failure.DATA, shares.values(), strict=True)])


def failing(rows: list) -> set[str]:
    """Claims that fail with such rows of trained values."""
    claims = igm_failure._claims(QUICK, igm_failure.move_rows(QUICK.rng(0)), rows, igm_failure.refit_rows())
    return {claim.says for claim in claims if not claim.passes}


def test_claims_of_the_igm_game_follow_their_numbers():
    assert igm_claims() == set()
    for kind, share, words in (("fixed", 0.1, "in every run"), ("uniform", 0.6, "minority"),
                               ("epsilon", 0.5, "nevertheless")):
        wrong = igm_claims(**{kind: share})
        assert len(wrong) == 1 and words in wrong.pop()


@pytest.mark.parametrize("least", [1e-9, 0.5])
def test_qplexs_form_by_hand(least):
    """lambda_i(a) > 0, alike for both agents, and A_i <= 0 with one 0."""
    total, A = igm_failure.qplex(least)
    assert (A.max(axis=1) == 0.0).all() and ((A < 0.0).sum(axis=1) == 20).all()
    for (a, b), value in np.ndenumerate(total):
        if A[0, a] + A[1, b] < 0.0:
            lam = (value - 100.0) / (A[0, a] + A[1, b])
            assert lam >= 0.99 * least
        r = igm_failure.ACTIONS[a] * igm_failure.ACTIONS[b]
        assert value == pytest.approx(100.0 - 2.0 * least if (a, b) == (0, 0) else r, abs=1e-12)


additive_fit, subset_advantage = igm_failure.additive_fit, igm_failure.subset_advantage
qplex = igm_failure.qplex


def deaf(mdp, pi, agents, given=()):
    """Advantages that do not know what the earlier agents did."""
    own = subset_advantage(mdp, pi, agents)
    return own if not given else np.repeat(own[:, None], 21, axis=1)


MUTATIONS = [
    ("subset_advantage", lambda *given, **more: -subset_advantage(*given, **more), "A^1 = 1 - a_1"),
    ("subset_advantage", deaf, "A^{1,2}"),
    ("subset_advantage", deaf, "one sequential update"),
    ("in_turn", lambda pi, order: igm_failure.together(pi), "one sequential update"),
    ("additive_fit", lambda payoff, pi: (payoff, additive_fit(payoff, pi)[1]), "explain nothing"),
    ("additive_fit", lambda payoff, pi: (payoff, additive_fit(payoff, pi)[1] * [[1.0], [-1.0]]), "never leave"),
    ("together", lambda pi: np.array([20, 20]), "advantage-based IGM"),
    ("MEANS", (1.5, -1.0), "A^1 = 1 - a_1"),
    ("qplex", lambda least: (additive_fit(igm_failure._payoff(), np.full((2, 21), 1.0 / 21))[0], qplex(least)[1]),
     "QPLEX"),
    ("qplex", lambda least: (qplex(least)[0], qplex(least)[1] * [[1.0], [-1.0]]), "QPLEX"),
]


@pytest.mark.parametrize(("name", "wrong", "claim"), MUTATIONS,
                         ids=[f"{name}: {claim}" for name, _, claim in MUTATIONS])
def test_a_wrong_move_or_fit_makes_a_claim_fail(monkeypatch, name, wrong, claim):
    monkeypatch.setattr(igm_failure, name, wrong)
    assert any(claim in says for says in igm_claims())


def trained(*data: str) -> dict[tuple[str, str], dict]:
    """Rows of values trained for as long as in the quick form, by values and data."""
    return {(mixing, kind): igm_failure._row(mixing, kind, *igm_failure._factorised((mixing, kind, 4, 1500, 0)))
            for mixing in ("vdn", "qmix") for kind in data}


@pytest.fixture(scope="module")
def learnt() -> dict[tuple[str, str], dict]:
    return trained(*igm_failure.DATA)


@pytest.mark.long
def test_claims_hold_of_short_trainings(learnt):
    assert failing(list(learnt.values())) == set()


behaviour = igm_failure.behaviour
MISTAKEN = [("fixed policies", "epsilon-greedy", "in every run"), ("uniform", "epsilon-greedy", "minority"),
            ("epsilon-greedy", "fixed policies", "nevertheless")]


@pytest.mark.long
@pytest.mark.parametrize(("data", "drawn", "claim"), MISTAKEN)
def test_batches_of_another_kind_make_a_claim_fail(monkeypatch, learnt, data, drawn, claim):
    monkeypatch.setattr(igm_failure, "behaviour", lambda asked, *given: behaviour(drawn, *given))
    assert any(claim in says for says in failing(list((learnt | trained(data)).values())))


def test_the_igm_game_is_repeatable():
    found = [igm_failure._factorised(("qmix", "epsilon-greedy", 2, 40, 0)) for _ in range(2)]
    np.testing.assert_array_equal(found[0], found[1])
