"""consensus-rates: what it measures against textbooks and dense products; wrong mixers, weights and sigmas are seen."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array

from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.theory import consensus_rates
from netac.topology import certify, load


@pytest.mark.parametrize("n", [8, 9, 16])
def test_sigma_of_a_ring_is_the_textbooks(n):
    each = consensus_rates.mixed(({"name": "ring", "weights": "metropolis"}, n), 0)
    textbook = max(abs(1 / 3 + 2 / 3 * np.cos(2 * np.pi * k / n)) for k in range(1, n))
    assert each.sigma == pytest.approx(textbook, abs=1e-12) and each.worst == pytest.approx(textbook, abs=1e-12)
    assert each.bytes == (each.rounds * 2 * 64, each.rounds * 2 * 64)


@pytest.mark.parametrize("spec", [
    {"name": "star", "weights": "max-degree"}, {"name": "alternating"},
    {"name": "gossip", "base": "ring", "probability": 0.5}, {"name": "one-peer-exponential"}])
def test_the_course_of_mixing_is_that_of_dense_products(spec):
    each, topology = consensus_rates.mixed((spec, 8), 5), load(spec, 8)
    x = start = np.random.default_rng([5, 8]).normal(size=(8, consensus_rates.WIDTH))
    for t, measured in enumerate(each.disagreement[1:]):
        x = topology.matrix(t).toarray() @ x
        apart = np.linalg.norm(x - x.mean(axis=0)) / np.linalg.norm(start - start.mean(axis=0))
        assert measured == pytest.approx(apart, abs=1e-12)
    assert measured <= 1e-6 < each.disagreement[-2]


@pytest.mark.parametrize("n, left", [(2, 0.0), (8, 0.0), (3, 0.25), (6, np.sqrt(3) / 8)])
def test_one_peer_exponential_is_exact_for_powers_of_two_only(n, left):
    assert consensus_rates.exactness(n) == pytest.approx(left, abs=1e-14)


def test_weights_by_degree_break_the_claims():
    """Row-stochastic weights move the mean; their transpose lets disagreement grow; a wrong sigma is found out."""
    fair = [consensus_rates.mixed((spec, 8), 0) for spec in ({"name": "star"}, {"name": "alternating"})]
    left, powers = {2: 0.0, 3: 0.25}, [2]
    assert all(claim.passes for claim in consensus_rates._claims(fair, left, powers))

    def failing(each: consensus_rates.Mixed) -> list[str]:
        return [claim.says for claim in consensus_rates._claims([each, *fair], left, powers) if not claim.passes]

    W = consensus_rates.by_degree(8)
    x = np.random.default_rng(0).normal(size=(8, 4))
    _, drift = consensus_rates.mix(network(W), x)
    assert failing(replace(fair[0], drift=drift)) == ["the agents' mean stays"]
    course, _ = consensus_rates.mix(network(W.T), x, rounds=5)
    assert "disagreement never grows" in failing(replace(fair[0], disagreement=course))
    wrong = replace(fair[0], sigma=0.9 * fair[0].sigma)
    assert [says.split(":")[0] for says in failing(wrong)] == ["a test of the mixer, static graphs",
                                                               "nothing shrinks slower than sigma per period"]
    assert failing(replace(fair[0], predicted=fair[0].rounds - 1)) == ["the certificate's rounds suffice"]
    assert [says.split(":")[0] for says in failing(replace(fair[0], before=0.99e-6))] == ["no fewer would"]


def network(W: np.ndarray) -> Network:
    """Netac's exchange with one matrix for ever."""
    matrix = csr_array(W)
    return Network(lambda t: matrix, Placement(len(W)), Ledger(len(W)))


# --- mutations: what is wrong is seen ---

SPECS = ({"name": "star"}, {"name": "alternating"}, {"name": "one-peer-exponential"})
mix, multiplied, worst_start = Network.mix, consensus_rates.multiplied, consensus_rates.worst_start


def failed() -> set[str]:
    """The claims that fail of an experiment of three graphs."""
    done = [consensus_rates.mixed((spec, 8), 0) for spec in SPECS]
    other = {n: consensus_rates.exactness(n) for n in (2, 3, 4, 6, 8)}
    return {claim.says for claim in consensus_rates._claims(done, other, [2, 4, 8]) if not claim.passes}


def promising(change: int):
    """Certificates that promise another number of rounds."""
    return lambda topology: SimpleNamespace(mixing=SimpleNamespace(rounds=certify(topology).mixing.rounds + change))


def in_place(self: Network, t: int, x: np.ndarray) -> np.ndarray:
    """Agent after agent, so that later ones read values that are already mixed."""
    x, W = x.copy(), self._matrix(t).toarray()
    for i, weights in enumerate(W):
        x[i] = weights @ x
    return x


MUTATIONS = [
    (Network, "mix", lambda self, t, x: 0.5 * (x + mix(self, t, x)), "test of the mixer, static"),
    (Network, "mix", lambda self, t, x: mix(self, 0, x), "test of the mixer, time-varying"),
    (consensus_rates, "worst_start", lambda product: (worst_start(product)[0], 0.9 * worst_start(product)[1]),
     "nothing shrinks slower"),
    (consensus_rates, "certify", promising(-20), "the certificate's rounds suffice"),
    (consensus_rates, "certify", promising(1), "no fewer would"),
    (Network, "mix", lambda self, t, x: x + mix(self, t, x) if t == 0 else mix(self, t, x), "disagreement never grows"),
    (Network, "mix", in_place, "the agents' mean stays"),
    (consensus_rates, "multiplied", lambda topology, rounds: multiplied(topology, rounds - 1),
     "n a power of two"),
    (consensus_rates, "multiplied", lambda topology, rounds: multiplied(topology, 20 * rounds), "for every n"),
    (consensus_rates, "by_degree", lambda n: np.full((n, n), 1.0 / n), "weights 1 / (1 + degree)"),
]


def test_all_claims_of_three_graphs_pass():
    assert failed() == set()


@pytest.mark.parametrize(("module", "name", "wrong", "claim"), MUTATIONS, ids=[claim for *_, claim in MUTATIONS])
def test_a_wrong_mixer_sigma_or_certificate_makes_a_claim_fail(monkeypatch, module, name, wrong, claim):
    monkeypatch.setattr(module, name, wrong)
    assert any(claim in says for says in failed())
