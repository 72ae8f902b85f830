"""What liars send, against plain loops; which of them the ways of mixing bear, and that they do."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
from support.conditioned import Processes, Watching, digraph, load, network, of

from netac.comm.exchange import Exchange, Phase
from netac.topology import Topology
from netac.topology.edges import from_edges
from netac.utils.errors import InputError

ATTACKS = ("sign-flip", "scaled", "random", "constant", "a-little-is-enough")
INSECURE = {"allow_insecure": True}


class Listening(Watching):
    """Sees what agents send."""

    phase = Phase.SAY

    def depart(self, exchange: Exchange) -> None:
        self.sent, self.truthful = exchange.sent, exchange.truthful


def said(graph: Topology, x: np.ndarray, t: int = 0, sums: bool = False, **options: Any) -> np.ndarray:
    """What the agents send."""
    through, listening = network(graph, {"adversaries": options} | INSECURE), Listening()
    through._conditions = (*through._conditions, listening)
    before = x.copy()
    through.post(t, x, "x", sums)
    through.wait()
    assert np.array_equal(x, before)
    liars = options.get("agents", range(graph.agents - options.get("number", 0), graph.agents))
    assert np.flatnonzero(~listening.truthful).tolist() == sorted(liars)
    assert np.array_equal(np.delete(listening.sent, liars, axis=0), np.delete(x, liars, axis=0))
    assert listening.sent.dtype == x.dtype
    return listening.sent[sorted(liars)]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("sums", [False, True])
def test_liars_send_what_the_attack_says(kind, sums):
    graph, x = load("complete", 7), np.random.default_rng(0).standard_normal((7, 5)).astype(kind)
    exact = {"rtol": 1e-6 if kind is np.float32 else 1e-12}
    assert np.array_equal(said(graph, x, sums=sums, attack="sign-flip", number=2), -x[5:])
    lied = said(graph, x, sums=sums, attack="sign-flip", agents=[4, 1], scale=2.5)
    assert np.allclose(lied, -2.5 * x[[1, 4]], **exact)
    assert np.allclose(said(graph, x, sums=sums, attack="scaled", number=2), 10 * x[5:], **exact)
    assert (said(graph, x, sums=sums, attack="constant", agents=[0, 6], scale=-3.0) == -3.0).all()
    lied = said(graph, x, sums=sums, attack="a-little-is-enough", agents=[0, 3])
    honest = x[[1, 2, 4, 5, 6]].astype(float)
    z = statistics.NormalDist().inv_cdf((7 - 2 - 2) / (7 - 2))               # v = floor(7 / 2 + 1) - 2 = 2
    wanted = [statistics.fmean(column) - z * statistics.pstdev(column) for column in honest.T.tolist()]
    assert np.allclose(lied, [wanted, wanted], **exact)
    lied = said(graph, x, sums=sums, attack="a-little-is-enough", agents=[0, 3], scale=0.0)
    assert np.allclose(lied, honest.mean(axis=0), **exact)


def test_random_lies_are_new_in_every_exchange_and_normal():
    graph, x = load("complete", 6), np.zeros((6, 3000))
    first, again, other = (said(graph, x, t, attack="random", number=3, scale=2.0) for t in (0, 0, 1))
    assert np.array_equal(first, again)
    both = np.concatenate([first, other])
    assert abs(both.mean()) < 0.06 and abs(both.std() - 2.0) < 0.06
    assert np.abs(np.corrcoef(both) - np.eye(6)).max() < 0.08
    rounds = Listening()
    through = network(graph, {"adversaries": {"attack": "random", "number": 1}} | INSECURE)
    through._conditions = (*through._conditions, rounds)
    sent = []
    for _ in range(2):
        through.mix(0, x)
        sent.append(rounds.sent[5])
    assert not np.array_equal(*sent)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("graph", ["complete", "disconnected", "directed", "two"])
def test_the_bits_do_not_depend_on_the_number_of_processes(attack, graph):
    made = {"two": lambda: load("complete", 2), "directed": lambda: of(digraph(7, 9))}
    graph = made[graph]() if graph in made else load(graph, 7)
    table = {"adversaries": {"attack": attack, "number": 1, "scale": 1.5}} | INSECURE
    for width, kind in ((1, np.float64), (6, np.float32)):
        x = np.random.default_rng(1).standard_normal((graph.agents, width)).astype(kind)
        whole = Processes(graph, table, 1).mix(3, x)
        for p in {2, graph.agents}:
            assert Processes(graph, table, p).mix(3, x).tobytes() == whole.tobytes()


@pytest.mark.parametrize("lie", [*ATTACKS, "nan"])
@pytest.mark.parametrize("f", [1, 2])
def test_with_the_trimmed_mean_honest_agents_agree_inside_their_hull(lie, f):
    graph, liars = load("complete", 4 * f + 2), [0, 3][:f]
    honest = np.delete(np.arange(graph.agents), liars)
    table: dict[str, Any] = {"trimmed-mean": f, "loss": {"probability": 0.2, "both_ways": False}}
    if lie != "nan":
        table["adversaries"] = {"attack": lie, "agents": liars, "scale": 2.0}
    through = network(graph, table)
    x = start = np.random.default_rng(f).standard_normal((graph.agents, 3))
    low, high = start[honest].min(axis=0), start[honest].max(axis=0)
    for t in range(80):
        if lie == "nan":
            x = x.copy()
            x[liars] = np.nan
        x = through.mix(t, x)
        assert (x[honest] >= low - 1e-12).all() and (x[honest] <= high + 1e-12).all()
    assert np.ptp(x[honest], axis=0).max() < 1e-8


def robust(f: int, liars: Any, graph: Topology, mixing: dict | None = None, **more: Any) -> None:
    who = {"number": liars} if isinstance(liars, int) else {"agents": liars}
    network(graph, {"adversaries": {"attack": "sign-flip", **who}} | (mixing or {"trimmed-mean": f}) | more)


def two_cliques(across: int) -> Topology:
    """Two complete graphs of 5, of which each agent hears `across` of the other one."""
    i, j = np.triu_indices(5, 1)
    a, k = np.divmod(np.arange(5 * across), across) if across else np.zeros((2, 0), dtype=int)
    return of(from_edges(10, (i, j), (i + 5, j + 5), (a, 5 + (a + k) % 5)))


def test_liars_are_borne_where_theory_says():
    robust(1, 1, load("complete", 5))
    robust(2, 2, load("complete", 9))
    robust(1, 0, load("ring", 6))
    robust(1, [0], two_cliques(4))
    robust(1, 1, load({"name": "periodic-complete", "period": 5}, 5))
    for mixing in ({"median": True}, {"clipping": 1.0}, {"loss": 0.1}):
        robust(0, 0, load("ring", 6), mixing)


def test_liars_are_borne_where_nobody_who_mixes_hears_too_many():
    """Three of 12 agents lie, who hear everybody; each is heard by three honest ones, who hear each other."""
    i, j = (ends.ravel() for ends in np.indices((12, 12)))
    liar, other = i < 3, j < 3
    heard = (i != j) & (other | ~liar | (j % 3 == i))                             # j hears i
    mixed = from_edges(12, (i[heard], j[heard]), directed=True)
    kept = from_edges(12, (np.array([0, 1]), np.array([5, 5])), directed=True)     # 2 are too few for f = 1
    robust(1, [0, 1, 2], of(mixed, kept))
    wrong = from_edges(12, (np.array([0, 1, 3]), np.array([5, 5, 5])), directed=True)
    with pytest.raises(InputError, match="agent 5 hears 2 of them in iteration 1, and f = 1"):
        robust(1, [0, 1, 2], of(mixed, wrong))


@pytest.mark.parametrize("f, liars, graph, mixing, message", [
    (1, 2, lambda: load("complete", 5), None,
     r"network\.adversaries\.number: .*agent 0 hears 2 of them in iteration 0, and f = 1"),
    (1, [0, 2], lambda: load("complete", 5), None, r"network\.adversaries\.agents: .*agent 1 hears 2 of them"),
    (1, 1, lambda: load("ring", 6), None, "an honest agent hears no more than 2, and f = 1 needs more than 2"),
    (1, [0], lambda: two_cliques(1), None, "in iteration 0 the graph is not 3-robust"),
    (2, 2, lambda: load("complete", 5), None, "an honest agent hears no more than 4, and f = 2 needs more than 4"),
    (1, 1, lambda: load({"name": "gossip", "probability": 0.2}, 6), None,
     "in every graph an honest agent hears no more than 1"),
    (1, 1, lambda: load("complete", 5), {"loss": 0.1}, "follow a single liar wherever it wants"),
    (1, 1, lambda: load("complete", 5), {"median": True}, "with the median no graph makes sure"),
    (1, 1, lambda: load("complete", 5), {"clipping": 1.0}, "bounds what a liar does in an exchange")])
def test_liars_that_are_not_borne_are_refused(f, liars, graph, mixing, message):
    with pytest.raises(InputError, match=message) as caught:
        robust(f, liars, graph(), mixing)
    assert "allow_insecure = true" in str(caught.value)
    robust(f, liars, graph(), mixing, **INSECURE)


@pytest.mark.parametrize("across, agree", [(1, False), (2, True)])
def test_it_breaks_where_theory_says(across, agree):
    graph = two_cliques(across)
    liar = {"adversaries": {"attack": "constant", "agents": [0], "scale": 0.0}} | INSECURE
    x = np.repeat([[0.0], [1.0]], 5, axis=0)
    through = network(graph, {"trimmed-mean": 1} | liar)
    for t in range(200):
        x = through.mix(t, x)
    assert (np.ptp(x[1:]) < 1e-6) == agree and (agree or np.array_equal(x[:, 0], np.repeat([0.0, 1.0], 5)))


@pytest.mark.parametrize("options, message", [
    ({"attack": "nan", "number": 1}, "network.adversaries.attack: .*sign-flip"),
    ("scaled", "network.adversaries: needs one of the options number and agents"),
    ({"attack": "scaled", "number": 1, "agents": [1]}, "network.adversaries.agents: needs one of"),
    ({"attack": "scaled", "number": 5}, "network.adversaries.number: there are 5 agents, one of which must be honest"),
    ({"attack": "scaled", "agents": [0, 5]}, "network.adversaries.agents: there is no such .*found 5; valid: 0 to 4"),
    ({"attack": "scaled", "agents": [1, 1]}, "network.adversaries.agents: names an agent twice"),
    ({"attack": "scaled", "number": -1}, "network.adversaries.number"),
    ({"attack": "scaled", "number": 1, "scale": float("inf")}, "network.adversaries.scale"),
    ({"attack": "a-little-is-enough", "number": 3}, "network.adversaries.scale: .* for 3 liars among 5 agents")])
def test_bad_input_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        network(load("complete", 5), {"adversaries": options} | INSECURE)
