"""Conditions of the network: what they may do to messages, and that nothing depends on processes or interruptions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from support import variants
from support.conditions import NAMES, NEURAL, Loss, Median, Skipping, Smoothing, experiment, under
from support.run_folders import stopped_copy
from support.variants import fingerprint

import netac
from netac import topology
from netac.comm import checkpoints
from netac.comm.exchange import Condition, Exchange
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement
from netac.utils.errors import RunError
from netac.utils.streams import Purpose, pair_uniforms

PROGRAM = Path(__file__).parents[1] / "programs" / "every_condition.py"
RING = topology.load("ring", 6)
GOSSIP = topology.load({"name": "gossip", "probability": 0.4}, 7)


class Watching(Condition):
    """Changes nothing; remembers what it was shown, by the order of the calls."""

    def __init__(self, calls: list | None = None, name: str = ""):
        self.calls, self.name = [] if calls is None else calls, name

    def depart(self, exchange: Exchange) -> None:
        self.calls.append(("depart", self.name, exchange.t, exchange.round))

    def arrive(self, exchange: Exchange) -> None:
        self.calls.append(("arrive", self.name, exchange.t, exchange.round))
        self.arrived, self.links = exchange.arrived.copy(), exchange.links


class Wider(Condition):
    """Messages carry one number more, the sender's place, which is taken off where they arrive."""

    def depart(self, exchange: Exchange) -> None:
        exchange.sent = np.column_stack([exchange.sent, exchange.agents])

    def arrive(self, exchange: Exchange) -> None:
        assert exchange.received[:, -1].tolist() == exchange.links.speaker.tolist()
        exchange.received = exchange.received[:, :-1]


def network(graph: topology.Topology, *conditions: Condition, seed: int = 3) -> tuple[Network, Ledger]:
    ledger = Ledger(graph.agents)
    return Network(graph.matrix, Placement(graph.agents), ledger, conditions=conditions, seed=seed), ledger


def effective(W: np.ndarray, watching: Watching) -> np.ndarray:
    """W with the weights of what was lost on the diagonal."""
    W, links = W.copy(), watching.links
    for i, j, weight, there in zip(links.hearer, links.speaker, links.weight, watching.arrived, strict=True):
        if not there:
            W[i, j] -= weight
            W[i, i] += weight
    return W


@pytest.mark.parametrize("name", ["cac-gossip", "dac-action_value-average", "mdac-rounds", "dnac-double"])
def test_a_condition_that_changes_nothing_changes_no_bit(name, monkeypatch):
    expected = fingerprint(netac.run(variants.experiment(name)))
    monkeypatch.setattr("netac.experiment.build.Network",
                        lambda *parts: Network(*parts[:4], [Watching(), Wider()], parts[5]))
    assert fingerprint(netac.run(variants.experiment(name))) == expected


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("graph", [RING, GOSSIP], ids=["ring", "gossip"])
def test_the_weight_of_a_lost_message_goes_to_the_receiver(graph, both_ways):
    watching, rng, kept = Watching(), np.random.default_rng(0), []
    through, ledger = network(graph, watching, Loss(both_ways))
    silent, plain = network(graph)
    for t in range(60):
        x = rng.standard_normal((graph.agents, 5))
        mixed = through.mix(t, x)
        silent.mix(t, x)
        W = effective(graph.matrix(t).toarray(), watching)
        assert np.allclose(W.sum(axis=1), 1.0, rtol=0, atol=1e-14) and (W >= 0).all()
        assert np.allclose(mixed, W @ x, rtol=0, atol=1e-14)
        if both_ways:
            assert np.allclose(mixed.mean(axis=0), x.mean(axis=0), rtol=0, atol=1e-14)
        kept += watching.arrived.tolist()
    assert abs(np.mean(kept) - 2 / 3) < 0.08
    assert np.array_equal(ledger.consensus_messages, plain.consensus_messages), "what is lost was sent"
    assert np.array_equal(ledger.consensus_bytes, plain.consensus_bytes)


def test_one_way_losses_are_not_those_of_the_other_way():
    watching = Watching()
    through, _ = network(RING, watching, Loss(both_ways=False))
    through.mix(0, np.ones((6, 1)))
    there = dict(zip(zip(watching.links.hearer, watching.links.speaker, strict=True), watching.arrived, strict=True))
    assert any(there[i, j] != there[j, i] for i, j in there)


def test_what_a_condition_keeps_is_that_of_the_round():
    through, _ = network(RING, Smoothing())
    W, rng, last = RING.matrix(0).toarray(), np.random.default_rng(1), {}
    for t in range(5):
        for k in range(2):
            x = rng.standard_normal((6, 3 + k))
            sent = 0.5 * (x + last.get(k, x))
            last[k] = x
            expected = np.diag(np.diag(W)) @ x + (W - np.diag(np.diag(W))) @ sent
            assert np.allclose(through.mix(t, x), expected, rtol=0, atol=1e-14)
    assert set(through.rows) == {"network_0__last0", "network_0__last1"}
    assert through.rows["network_0__last1"].shape == (6, 4)


def test_what_conditions_keep_is_told_apart_whatever_their_names():
    class Keeping(Watching):
        def depart(self, exchange: Exchange) -> None:
            self.rows[f"{len(self.name)}_x"] = np.full((6, 1), exchange.t, float)

        def state(self) -> dict[str, np.ndarray]:
            return {"x": np.array(len(self.name))}

        def restore(self, state, rows) -> None:
            assert state in ({}, {"x": len(self.name)})

    kept: dict[str, np.ndarray] = {}
    for t in range(3):
        conditions = [Keeping(name=name) for name in ("a", "a_1", "b", "")]
        through, _ = network(RING, *conditions)
        through.restore(kept)
        through.mix(t, np.ones((6, 1)))
        for condition in conditions:
            assert {name: rows[0, 0] for name, rows in condition.rows.items()} == {f"{len(condition.name)}_x": t}
        kept = {f"rows_{name}": rows.copy() for name, rows in through.rows.items()} | through.state()


class Misshapen(Watching):
    """Does what `how` says."""

    def __init__(self, how: str):
        super().__init__(name="mine")
        self.how = how

    def arrive(self, exchange: Exchange) -> None:
        if self.how == "arrived":
            exchange.arrived = exchange.arrived[1:]
        elif self.how == "mix":
            exchange.mix = lambda heard: heard.values[:, :1]
        else:
            self.rows["x"] = np.ones(6)


@pytest.mark.parametrize(("how", "says"), [("arrived", r"network.mine: .* \(11,\), in the place of \(12,\)"),
                                           ("mix", r"network.mine: .* \(6, 1\), in the place of \(6, 3\)"),
                                           ("rows", r"network.mine: .*'x' has the shape \(6,\)")])
def test_what_a_condition_gives_in_another_shape_is_told(how, says):
    through, _ = network(RING, Misshapen(how))
    with pytest.raises(RunError, match=says):
        through.mix(0, np.ones((6, 3)))
        assert through.rows


def test_what_a_condition_mixes_is_of_the_algorithms_type():
    class Double(Watching):
        def arrive(self, exchange: Exchange) -> None:
            exchange.received = exchange.received * np.float64(0.5)

    through, _ = network(RING, Double())
    assert through.mix(0, np.ones((6, 3), np.float32)).dtype == np.float32


def test_what_is_not_sent_is_not_counted_and_what_is_sent_at_its_size():
    through, ledger = network(RING, Skipping(0.5))
    rng, told, messages = np.random.default_rng(2), np.full((6, 2), np.inf), np.zeros(6, dtype=int)
    x, W = rng.standard_normal((6, 2)), RING.matrix(0).toarray()
    for t in range(20):
        x = x + 0.4 * rng.standard_normal((6, 2))
        sends = np.abs(x - told).max(axis=1) > 0.5
        told[sends] = x[sends]
        messages += 2 * sends
        off = W - np.diag(np.diag(W))
        assert np.allclose(through.mix(t, x), np.diag(W)[:, None] * x + off @ told, rtol=0, atol=1e-14)
    assert 12 < messages.sum() < 2 * 6 * 20
    assert ledger.consensus_messages.tolist() == messages.tolist()
    assert ledger.consensus_bytes.tolist() == (messages * 8).tolist(), "half of 2 doubles"


def test_another_rule_takes_the_place_of_the_average():
    through, _ = network(RING, Median())
    x = np.random.default_rng(3).standard_normal((6, 4))
    expected = [np.median(x[[(i - 1) % 6, i, (i + 1) % 6]], axis=0) for i in range(6)]
    assert np.array_equal(through.mix(0, x), expected)


def test_messages_leave_in_order_and_arrive_in_reverse():
    calls: list = []
    through, _ = network(RING, Watching(calls, "first"), Watching(calls, "second"))
    through.mix(4, np.ones((6, 1)), rounds=2)
    through.post(5, held := np.ones((6, 1)))
    through.settle()
    assert held.tolist() == [[1.0]] * 6
    order = (("depart", "first"), ("depart", "second"), ("arrive", "second"), ("arrive", "first"))
    assert calls == [(*call, t, k) for t, k in ((4, 0), (4, 1), (5, 0)) for call in order]


def test_an_exchange_is_completed_before_the_next():
    through, _ = network(RING)
    through.post(0, np.ones((6, 1)))
    with pytest.raises(RunError, match="already under way"):
        through.post(1, np.ones((6, 1)))


def test_draws_depend_on_seed_condition_iteration_and_link_alone():
    class Drawing(Watching):
        def arrive(self, exchange: Exchange) -> None:
            self.drawn = exchange.uniforms(), exchange.uniforms(1), exchange.uniforms(both_ways=True)

    everyone, part = [], Drawing()
    for t, seed in ((0, 0), (1, 0), (0, 1)):
        both = Drawing(), Drawing()
        network(RING, *both, seed=seed)[0].mix(t, np.ones((6, 1)))
        everyone += both
    seen = np.concatenate([drawn for each in everyone for drawn in each.drawn[:2]])
    assert len(np.unique(seen)) == len(seen) == 6 * 2 * 12
    first = Drawing()
    network(RING, first, seed=0)[0].mix(0, np.ones((6, 1)))
    network(RING, part, seed=0)[0].mix(0, np.ones((6, 3)))
    assert all(map(np.array_equal, first.drawn, part.drawn))
    links = topology.load("ring", 6).matrix(0).tocoo()
    off = links.row != links.col
    way = dict(zip(zip(links.row[off].tolist(), links.col[off].tolist(), strict=True), first.drawn[2], strict=True))
    assert all(way[i, j] == way[j, i] for i, j in way)
    assert np.array_equal(pair_uniforms(0, Purpose.NETWORK, (0, 0, 0, 0), np.array([2]), np.array([3])),
                          first.drawn[0][(links.row[off] == 2) & (links.col[off] == 3)])


def test_draws_are_uniform_and_independent():
    i, j = np.divmod(np.arange(300 * 300), 300)
    drawn = pair_uniforms(7, Purpose.NETWORK, (0, 1, 2), i, j)
    assert drawn.min() >= 0.0 and drawn.max() < 1.0 and len(np.unique(drawn)) == drawn.size
    counts = np.bincount((drawn * 100).astype(int), minlength=100)
    assert ((counts - 900) ** 2 / 900).sum() < 180        # chi-squared with 99 degrees of freedom: beyond 1e-6
    square = drawn.reshape(300, 300)
    for other in (square.T, np.roll(square, 1, axis=0), np.roll(square, 1, axis=1),
                  pair_uniforms(7, Purpose.NETWORK, (0, 2, 2), i, j).reshape(300, 300)):
        off = ~np.eye(300, dtype=bool)
        assert abs(np.corrcoef(square[off], other[off])[0, 1]) < 0.015


@pytest.fixture(scope="module")
def in_one_process(tmp_path_factory):
    """Run folders with all checkpoints, and what every experiment gives in a single process."""
    folder, found = tmp_path_factory.mktemp("conditions"), {}
    kept, checkpoints.KEPT = checkpoints.KEPT, 1000
    try:
        for name in [*NAMES, *NEURAL]:
            with under(name):
                found[name] = fingerprint(netac.run(experiment(name), out=folder / name))
    finally:
        checkpoints.KEPT = kept
    return folder, found


def test_conditions_change_results(in_one_process):
    _, found = in_one_process
    assert len(set(found.values())) == len(found)
    assert not set(found.values()) & {fingerprint(netac.run(experiment(name))) for name in NAMES}


def test_a_process_for_every_agent_gives_the_same_bits(mpirun, in_one_process):
    """With other numbers of processes: test_conditioned_runs, and below."""
    done = mpirun(8, [sys.executable, PROGRAM], timeout=250)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found and found == {name: in_one_process[1][name] for name in found}


@pytest.mark.parametrize("name", [name for name in [*NAMES, *NEURAL] if name.endswith(("all", "loss"))])
def test_a_stopped_run_goes_on_to_the_same_bits(in_one_process, tmp_path, name):
    folder, found = in_one_process
    for iteration in (0, 13, 26):
        part = stopped_copy(folder / name, tmp_path / str(iteration), iteration)
        with under(name):
            assert fingerprint(netac.run(experiment(name), out=part, resume=True)) == found[name], iteration


def test_a_stopped_run_goes_on_with_another_number_of_processes(mpirun, in_one_process, tmp_path):
    """Of linear agents; of networks: test_conditioned_runs."""
    folder, found = in_one_process
    for name in NAMES:
        stopped_copy(folder / name, tmp_path / name, 13)
    done = mpirun(3, [sys.executable, PROGRAM, tmp_path], timeout=250)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: found[name] for name in NAMES}
