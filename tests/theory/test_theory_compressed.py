"""compressed-consensus: bits of messages, the predicted floor, and that its claims can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from netac.comm.conditions._scaled import Quantisation, Sign
from netac.comm.conditions._sparse import RandomK, TopK
from netac.theory import _compressed_runs, compressed_consensus
from netac.theory._compressed_runs import Scheme, WithCode, compressed, floor_of
from netac.theory.compressed_consensus import CHOCO, ERROR, PLAIN, WHOLE
from netac.topology import load

SCHEMES = {scheme.name: scheme for scheme in (WHOLE, *CHOCO, ERROR, *PLAIN)}
CODES = {"top-k 10 %": TopK(fraction=0.1), "top-k 1 %": TopK(fraction=0.01), "random-k 10 %": RandomK(fraction=0.1),
         "random-k 1 %": RandomK(fraction=0.01), "signs": Sign(512), "top-k 10 %, step 0.2": TopK(fraction=0.1),
         "1 bit": Quantisation(1, 512), "2 bits": Quantisation(2, 512), "4 bits": Quantisation(4, 512),
         "8 bits, plain": Quantisation(8, 512), "8 bits, error feedback": Quantisation(8, 512),
         "signs, plain": Sign(512), "top-k 10 %, plain": TopK(fraction=0.1)}


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("width", [5, 100, 512, 513, 2000])
def test_bits_of_messages_are_the_codes(name, width):
    assert SCHEMES[name].message_bits(width) == CODES[name].bits(width, np.dtype(float))


def test_bits_by_hand():
    assert WHOLE.message_bits(1000) == 64_000
    assert SCHEMES["4 bits"].message_bits(1000) == 4128                 # two scales
    assert SCHEMES["top-k 1 %"].message_bits(1000) == 10 * (64 + 10)
    assert SCHEMES["top-k 10 %"].message_bits(1000) == 6400 + 1000      # a bit a value is less than ten a place
    assert SCHEMES["random-k 1 %"].message_bits(1000) == 640
    assert SCHEMES["signs"].message_bits(1000) == 1128


@pytest.mark.parametrize(("graph", "n"), [("path", 2), ("ring", 5), ("complete", 4)])
def test_the_floor_is_where_noise_of_one_step_settles(graph, n):
    """x <- W x + (W - I) e with e of variance step^2 / 6, mixed as it is told."""
    W, rng, levels = load(graph, n).matrix(0).toarray(), np.random.default_rng(0), 7
    mean = rng.uniform(-3.0, 3.0, size=700)
    step = np.repeat([np.abs(mean[:512]).max(), np.abs(mean[512:]).max()], [512, 188]) / levels
    x, squares = np.zeros((n, 700)), []
    for t in range(300):
        e = np.sqrt(1 / 6) * step * rng.choice([-1.0, 1.0], size=(n, 700))
        x = W @ x + (W - np.eye(n)) @ e
        if t >= 100:
            squares.append(np.square(x - x.mean(axis=0)).sum())
    assert floor_of(W, mean, levels) == pytest.approx(np.sqrt(np.mean(squares)), rel=0.02)


def course(*disagreement: float, scheme: Scheme = SCHEMES["8 bits"]) -> WithCode:
    return WithCode("ring", 8, 2, scheme, 100, np.array(disagreement), 0.0, 0.0, 0.0, None)


def test_rounds_bits_and_straight_lines():
    straight = course(1.0, *0.99 * 0.1 ** np.arange(1, 13))
    assert (straight.rounds, straight.rounds_to(1e-3), straight.rounds_to(1e-6)) == (12, 3, 6)
    assert straight.bits(6) == 1200 and straight.foretold == 6
    assert straight.factor == pytest.approx(0.1) and straight.straightness == pytest.approx(1.0)
    bent = course(*np.concatenate([0.1 ** np.arange(6), 1e-5 * 0.9 ** np.arange(150)]))
    assert 0.5 < bent.straightness < 0.97
    short = course(*0.5 ** np.arange(11))
    assert short.rounds_to(1e-6) is None and short.straightness == 0.0
    assert short.foretold == pytest.approx(np.log(1e-6) / np.log(0.5))
    assert course(1.0, 1.1, 1.2, 1.3).foretold is None
    assert course(1.0, 0.5, 0.4, 0.3, scheme=PLAIN[0]).foretold is None         # at a floor
    assert course(1.0, 0.3, 0.4).settled == pytest.approx(np.sqrt((0.09 + 0.16) / 2))


@pytest.mark.parametrize("name", ["64 bits", "8 bits", "4 bits, plain", "top-k 10 %"])
def test_a_run_counts_what_the_network_counts(name):
    found = compressed((("ring", 5), SCHEMES[name]), 60, 40, seed=1)
    assert found.rounds == (22 if name == "64 bits" else 40) and found.degree == 2 and found.miscounted == 0.0
    assert found.message == SCHEMES[name].message_bits(60) and found.drift < 1e-12
    assert (found.floor is not None) == (name == "4 bits, plain")
    assert found.disagreement[0] == 1.0 and (np.diff(found.disagreement[:5]) < 0).all()


# --- claims can fail -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def done() -> list[WithCode]:
    return [compressed((graph, scheme), 100, 230, 0) for graph in (("ring", 6), ("complete", 6))
            for name, scheme in SCHEMES.items() if name not in compressed_consensus.SLOWEST]


def failing(done: list[WithCode]) -> list[str]:
    return [claim.says for claim in compressed_consensus._claims(done) if not claim.passes]


def test_claims_hold_on_small_graphs_too(done):
    assert failing(done) == []


@pytest.mark.parametrize(("scheme", "change", "said"), [
    ("8 bits", lambda each: {"error": 1e-9}, "exact average"),
    ("8 bits", lambda each: {"disagreement": np.maximum(each.disagreement, 1e-8)}, "falls linearly"),
    ("8 bits", lambda each: {"disagreement": np.repeat(each.disagreement, 2)}, "as many rounds as 64"),
    ("top-k 10 %", lambda each: {"drift": 1e-9}, "keeps the mean"),
    ("signs", lambda each: {"miscounted": 1.0}, "compressed_bits"),
    ("8 bits, plain", lambda each: {"floor": 1.2 * each.floor}, "stops at the floor"),
    ("2 bits, plain", lambda each: {"floor": 5.0 * each.floor}, "of 2 bits, too"),
    ("signs, plain", lambda each: {"disagreement": each.disagreement**9}, "far from the average"),
    ("4 bits", lambda each: {"message": 4000}, "fewer bits"),
    ("4 bits", lambda each: {"message": 50}, "on every graph"),
    ("top-k 10 %", lambda each: {"message": 50}, "saves bits"),
    ("top-k 10 %, step 0.3", lambda each: {"disagreement": np.full(9, 1.0)}, "suits another")])
def test_other_numbers_fail(done, scheme, change, said):
    changed = [replace(each, **change(each)) if each.scheme.name == scheme else each for each in done]
    assert any(said in says for says in failing(changed))


def test_a_network_that_forgets_its_copies_fails(monkeypatch):
    """Plain codes in the place of CHOCO."""
    made = _compressed_runs.network_of

    def plain(table, topology, seed):
        return made({"quantisation": {"bits": 8, "feedback": "none"}} if table else {}, topology, seed)

    monkeypatch.setattr(_compressed_runs, "network_of", plain)
    found = compressed((("ring", 6), SCHEMES["8 bits"]), 100, 200, 0)
    assert found.straightness == 0.0 and found.error > 1e-4


WRONG = {        # what the network does with a scheme's messages in the place of what it should, and on which graph
    "choco without its copies": ("8 bits", {"quantisation": {"bits": 8, "feedback": "none"}}, "ring", "falls linearly"),
    "no exact average": ("4 bits", {"quantisation": {"bits": 4, "feedback": "none"}}, "ring", "exact average"),
    "messages lost one way": ("2 bits", {"loss": {"probability": 0.1, "both_ways": False}}, "ring", "keeps the mean"),
    "a bit more than is said": ("4 bits, plain", {"quantisation": {"bits": 5, "feedback": "none"}}, "ring",
                                "stops at the floor"),
    "four bits for two": ("2 bits, plain", {"quantisation": {"bits": 4, "feedback": "none"}}, "ring", "of 2 bits, too"),
    "feedback where there is none": ("signs, plain", {"sign": True}, "ring", "far from the average"),
    "two bits for eight": ("8 bits", {"quantisation": 2}, "ring", "as many rounds as 64"),
    "a bit for four": ("4 bits", {"quantisation": 1}, "ring", "fewer bits"),
    "whole numbers for four bits": ("4 bits", {}, "complete", "on every graph"),
    "whole numbers for some": ("top-k 10 %", {}, "ring", "saves bits"),
    "a smaller step": ("top-k 10 %, step 0.3", {"top-k": {"fraction": 0.1, "step": 0.05}}, "complete", "suits another")}


@pytest.mark.parametrize("name", WRONG)
def test_a_network_that_does_something_else_fails(monkeypatch, done, name):
    scheme, table, graph, said = WRONG[name]
    made = _compressed_runs.network_of
    monkeypatch.setattr(_compressed_runs, "network_of", lambda asked, topology, seed: made(table, topology, seed))
    wrong = compressed(((graph, 6), SCHEMES[scheme]), 100, 230, 0)
    changed = [wrong if (each.scheme.name, each.graph) == (scheme, graph) else each for each in done]
    assert any(said in says for says in failing(changed))


def test_scales_that_are_not_counted_fail(monkeypatch, done):
    monkeypatch.setattr(_compressed_runs, "BUCKET", 10**9)
    wrong = compressed((("ring", 6), SCHEMES["4 bits"]), 600, 5, 0)
    assert any("compressed_bits" in says for says in failing([*done, wrong]))
