"""Traffic signals as a network file tells them, and how they change: no SUMO is needed."""

from __future__ import annotations

import gzip
import itertools
import shutil
from importlib.util import find_spec
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.launching import ROOT

from netac.envs import traffic
from netac.envs._traffic_lights import Light, between
from netac.envs._traffic_roads import read_roads
from netac.envs._traffic_simulation import Scenario
from netac.utils.errors import InputError

TOWN = ROOT / "tests" / "data" / "town" / "town.net.xml"


def test_what_the_town_has():
    """a and b are crossings joined by a road with a crossing without signals, m, on it; c is a T below b."""
    a, b, c = read_roads(TOWN).signals
    assert (a.name, b.name, c.name) == ("a", "b", "c")
    assert a.greens == ("rrrGGgrrrGGGg", "rrrrrGrrrrrrG", "GGgrrrGGgrrrr") and c.greens == ("rrGGGg", "GGGrrr")
    assert a.lanes == ("an-a_0", "m-a_0", "m-a_1", "as-a_0", "aw-a_0") and c.lanes == ("b-c_0", "ce-c_0", "cw-c_0")
    assert a.lengths[0] == 139.6 and set(c.leaving) == {"c-cw_0", "c-ce_0", "c-b_0"}
    assert (a.yellow, a.seen, c.seen) == (3, 3 + 1 + 10, 2 + 1 + 6)
    assert read_roads(TOWN).neighbours == {"a": ("b",), "b": ("a", "c"), "c": ("b",)}
    assert a.phases[0].duration == 38 and (a.phases[0].shortest, a.phases[0].longest) == (5, 50)
    assert (a.phases[1].shortest, a.phases[1].longest) == (3, 3)


def test_a_compressed_network_and_a_scenario_that_travels(tmp_path):
    (tmp_path / "town.net.xml.gz").write_bytes(gzip.compress(TOWN.read_bytes()))
    roads = read_roads(tmp_path / "town.net.xml.gz")
    assert roads == read_roads(TOWN)
    scenario = Scenario("n", "r", 0, 9, 5, None, 5, "queue", "agents", -1, roads.signals)
    assert Scenario.of(scenario.message()) == scenario


def network(crossings: int, streets: list[tuple[int, int]], signals: set[int]) -> str:
    """A network file of one-lane streets from crossing to crossing, from which one may go on everywhere."""
    def ends(i: int, name: str) -> str:
        return f'<edge id="s{i}" from="{streets[i][0]}" to="{streets[i][1]}">{name}</edge>'

    lines = [ends(i, f'<lane id="s{i}_0" length="50"/>') for i in range(len(streets))]
    lines += ['<edge id=":0_0" function="internal"><lane id=":0_0_0" length="9"/></edge>']
    lines += [f'<tlLogic id="t{k}" type="static"><phase duration="9" state="{"G" * len(streets)}"/></tlLogic>'
              for k in sorted(signals)]
    for i, j in itertools.product(range(len(streets)), repeat=2):
        if streets[i][1] == streets[j][0]:
            heeds = f' tl="t{streets[i][1]}" linkIndex="{i * len(streets) + j}"' * (streets[i][1] in signals)
            lines.append(f'<connection from="s{i}" to="s{j}" fromLane="0" toLane="0"{heeds}/>')
            lines.append(f'<connection from=":0_0" to="s{j}" fromLane="0" toLane="0"/>')
    return f"<net>{''.join(lines)}</net>"


@given(st.data(), st.integers(2, 7))
@settings(max_examples=60)
def test_signals_are_neighbours_if_a_road_without_signals_on_it_joins_them(tmp_path_factory, data, crossings):
    pairs = st.tuples(st.integers(0, crossings - 1), st.integers(0, crossings - 1)).filter(lambda p: p[0] != p[1])
    streets = data.draw(st.lists(pairs, min_size=1, max_size=12, unique=True))
    ends = {end for _, end in streets} & {start for start, _ in streets}
    signals = data.draw(st.sets(st.sampled_from(sorted(ends)), min_size=1)) if ends else set()
    file = tmp_path_factory.mktemp("net") / "random.net.xml"
    file.write_text(network(crossings, streets, signals))
    if not signals:
        with pytest.raises(InputError, match="no traffic signals"):
            read_roads(file)
        return
    plain = nx.DiGraph(streets)
    wanted = {}
    for s, t in itertools.permutations(signals, 2):
        through = plain.subgraph(set(plain) - (signals - {s, t}))
        wanted[s, t] = nx.has_path(through, s, t) if {s, t} <= set(through) else False
    found = read_roads(file).neighbours
    assert found == {f"t{s}": tuple(f"t{t}" for t in sorted(signals) if t != s and (wanted[s, t] or wanted[t, s]))
                     for s in sorted(signals)}


def in_sumo_rl(name: str) -> Path:
    """The network file of that name, where sumo-rl is installed."""
    spec = find_spec("sumo_rl")
    if spec is None or spec.origin is None:
        pytest.skip("no sumo-rl")
    return Path(spec.origin).parent / "nets" / f"{traffic.NETWORKS[name][0]}.net.xml"


@pytest.mark.parametrize(("name", "changes"), [
    ("town", 8), ("grid4x4", 128), ("cologne1", 4), ("single-intersection", 2), ("2way-single-intersection", 4),
    ("double", 8), ("2x2grid", 16), ("4x4", 32)])
def test_yellow_is_as_in_the_file(name, changes):
    """Between green phases that follow each other in a programme; other files have yellow for who keeps green, too."""
    found = 0
    for signal in read_roads(TOWN if name == "town" else in_sumo_rl(name)).signals:
        phases = signal.phases
        for first, middle, last in zip(phases, phases[1:] + phases[:1], phases[2:] + phases[:2], strict=True):
            if first.is_green and "y" in middle.state and last.is_green:
                assert between(first.state, last.state) == middle.state, signal.name
                found += 1
    assert found == changes


@given(st.data(), st.integers(2, 4), st.integers(0, 4), st.integers(0, 6), st.integers(1, 7))
@settings(max_examples=100)
def test_a_light_from_change_to_change(data, phases, yellow, shortest, every):
    """Against a plain loop over seconds: what is shown, and for how long."""
    greens = data.draw(st.lists(st.text("Ggrs", min_size=3, max_size=3), min_size=phases, max_size=phases, unique=True))
    choices = data.draw(st.lists(st.integers(0, phases - 1), min_size=1, max_size=12))
    light, shown = Light(greens, yellow, shortest), []
    for choice in choices:
        light.choose(choice)
        rest = every
        while rest:
            seconds = min(rest, light.left) if light.is_yellow else rest
            shown += [light.state] * seconds
            light.tick(seconds)
            rest -= seconds
    wanted, on, since, coming, left = [], 0, 0, 0, 0
    for choice in choices:
        if left == 0 and since >= shortest and choice != on:
            loses = [a in "Gg" and b in "rs" for a, b in zip(greens[on], greens[choice], strict=True)]
            coming, since = choice, 0
            left = yellow if any(loses) else 0
            middle = "".join("y" if lost else a for a, lost in zip(greens[on], loses, strict=True))
            if left == 0:
                on = choice
        for _ in range(every):
            wanted.append(middle if left else greens[on])
            if left:
                left -= 1
                if left == 0:
                    on, since = coming, 0
            else:
                since += 1
    assert shown == wanted


def test_a_light_that_somebody_else_sets():
    light = Light(["GGr", "rrG"], 3, 5)
    for state, phase, may in (("GGr", 0, True), ("yyr", 0, False), ("rrr", 0, False), ("rrG", 1, False),
                              ("rrG", 1, True)):
        light.follow(state, 5)
        assert (light.phase, light.may_change) == (phase, may)


PHASE = '<phase duration="9" state="{}"/>'


@pytest.mark.parametrize(("text", "says"), [
    ("<routes/>", "is not a SUMO network .*found '<routes>'"), ("<net>", "is not a SUMO network"),
    ("no", "is not a SUMO network"), ("<net></net>", "has no traffic signals"),
    ("<net><tlLogic/></net>", "lacks 'id'"),
    (f'<net><tlLogic id="t">{PHASE.format("rry")}</tlLogic></net>', "has no green phase .*found 't'"),
    (f'<net><tlLogic id="t">{PHASE.format("Gr")}{PHASE.format("rrG")}</tlLogic></net>', "not equally long"),
    ('<net><tlLogic id="t"><phase duration="x" state="G"/></tlLogic></net>', "is not a SUMO network")])
def test_what_is_no_network(tmp_path, text, says):
    (tmp_path / "x.net.xml").write_text(text)
    with pytest.raises(InputError, match=rf"x\.net\.xml: env\.net: .*{says}"):
        read_roads(tmp_path / "x.net.xml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"env\.net: cannot be read"):
        read_roads(tmp_path / "none.net.xml")
    (tmp_path / "cut.net.xml.gz").write_bytes(gzip.compress(TOWN.read_bytes())[:2000])
    with pytest.raises(InputError, match="is not a SUMO network"):
        read_roads(tmp_path / "cut.net.xml.gz")
    shutil.copy(TOWN, tmp_path / "plain.net.xml.gz")
    with pytest.raises(InputError, match="cannot be read: not a gzipped file"):
        read_roads(tmp_path / "plain.net.xml.gz")
