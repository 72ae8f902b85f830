"""byzantine: what it mixes, against plain loops; who is accepted; claims that fail when they should."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from netac import topology
from netac.theory import _agreement, _liars_trained, byzantine
from netac.theory._agreement import NONE, TWO_FACED, Agreed, Case, mix, place, start
from netac.theory._liars_trained import Earned, LiarTrained, LiarTraining, random_play
from netac.topology.robustness import adjacency


def hears(where: _agreement.Place) -> np.ndarray:
    return adjacency(topology.load(dict(where.graph), where.agents).matrix(0)).toarray() != 0


@pytest.mark.parametrize("where", [place("complete", 5, 1, 1), place("exponential", 9, 2, (0, 3)),
                                   place("ring", 4, 1, 1), place("complete", 2, 0, 0)])
@pytest.mark.parametrize("attack, scale", [(TWO_FACED, None), ("constant", 10.0), ("sign-flip", 3.0), (NONE, None)])
def test_trimmed_means_among_liars_are_those_of_plain_loops(where, attack, scale):
    case = Case(where, attack, scale, "trimmed-mean", False, 4, 7)
    found, n, f = mix(case), where.agents, where.f
    x = start(case)
    assert x.shape == (n, 8) and not np.array_equal(x, start(replace(case, seed=8)))
    low, high = (reduced(x[where.honest], axis=0) for reduced in (np.min, np.max))
    outside, apart = 0.0, [1.0]
    for _ in range(4):
        new = x.copy()
        honest = [[x[i, c] for i in where.honest] for c in range(8)]
        for i in range(n):
            for c in range(8):
                told = []
                for j in np.flatnonzero(hears(where)[i]):
                    if j not in where.liars or attack == NONE:
                        told.append(x[j, c])
                    elif attack == TWO_FACED:
                        middle = (min(honest[c]) + max(honest[c])) / 2
                        told.append(max(honest[c]) if x[i, c] > middle else min(honest[c]))
                    else:
                        told.append(10.0 if attack == "constant" else -3.0 * x[j, c])
                if len(told) > 2 * f:
                    kept = sorted(told)[f:len(told) - f]
                    new[i, c] = (x[i, c] + sum(kept)) / (1 + len(kept))
        x = new
        own = x[where.honest]
        outside = max(outside, ((own.max(axis=0) - high) / (high - low)).max(),
                      ((low - own.min(axis=0)) / (high - low)).max())
        apart.append(((own.max(axis=0) - own.min(axis=0)) / (high - low)).max())
    assert found.apart == pytest.approx(apart, abs=1e-12) and found.outside == pytest.approx(outside, abs=1e-12)


@pytest.mark.parametrize("where", [*byzantine.BORNE[:4], *byzantine.NOT_BORNE[:4], place("exponential", 8, 2, 0)])
def test_groups_are_there_exactly_where_a_search_over_all_pairs_finds_some(where):
    A, f = hears(where), where.f
    sets = [set(some) for size in range(1, len(where.honest)) for some in combinations(where.honest, size)]
    shut = [some for some in sets
            if all(sum(A[i, j] for j in where.honest if j not in some) <= f for i in some)]
    exist = any(not one & other for one, other in combinations(shut, 2))
    assert (where.groups is not None) == exist
    if where.groups:
        one, other = map(set, where.groups)
        assert one in shut and other in shut and not one & other


def test_netac_accepts_the_places_that_are_said_to_be_borne_and_no_others():
    assert all(where.accepted for where in byzantine.BORNE)
    assert not any(where.accepted for where in byzantine.NOT_BORNE if where.liars)
    assert [where.robust > 2 * where.f for where in byzantine.BORNE[:4]] == [True] * 4
    assert all(where.groups for where in byzantine.NOT_BORNE)


def test_groups_start_apart():
    where = place("exponential", 9, 2, (0, 1, 2))
    x = start(Case(where, TWO_FACED, None, "trimmed-mean", True, 1, 0))
    assert {tuple(np.flatnonzero(x[:, 0] == value)) for value in (0.0, 1.0)} == set(where.groups)
    assert (x[[0, 1, 2]] == 0.5).all() and (np.ptp(x, axis=1) == 0).all()


def failing(mixed: list[Agreed]) -> list[str]:
    return [claim.says for claim in byzantine.mixing_claims(mixed) if not claim.passes]


def test_the_claims_of_mixing_tell_good_from_bad():
    def made(where, attack, defence, groups=False, outside=0.0, apart=0.0, scale=None):
        return Agreed(Case(where, attack, scale, defence, groups, 1, 0), outside, np.array([1.0, apart]))

    good, bad = byzantine.BORNE[0], byzantine.NOT_BORNE[0]
    fair = {"held": made(good, "scaled", "trimmed-mean"), "stuck": made(bad, TWO_FACED, "trimmed-mean", True, 0.0, 1.0),
            "free": made(bad, NONE, "average", True),
            "average": made(good, "constant", "average", False, 4.0, 0.0, 10.0),
            "clipping": made(good, "constant", "clipping", False, 1.0, 0.0, 10.0),
            "median": made(good, TWO_FACED, "median", False, 0.0, 0.3)}
    assert failing(list(fair.values())) == []
    for name, change, said in (
            ("held", {"outside": 1e-9}, "keep honest agents among"), ("held", {"apart": np.array([1, 1e-3])}, "agree"),
            ("held", {"outside": np.nan}, "keep honest agents among"),
            ("stuck", {"apart": np.array([1, 0.9])}, "leave"),
            ("free", {"apart": np.array([1, 0.1])}, "averages of honest"), ("average", {"outside": 1.0}, "follow one"),
            ("clipping", {"outside": 0.1}, "clipped"), ("median", {"outside": 0.1}, "medians stay"),
            ("median", {"apart": np.array([1, 0.0])}, "medians make"),
            ("stuck", {"case": replace(fair["stuck"].case, place=good)}, "refuses")):
        broken = failing([fair["held"], *{**fair, name: replace(fair[name], **change)}.values()])
        assert len(broken) == 1 and said in broken[0], (name, broken)


def test_the_claims_of_learning_tell_good_from_bad():
    def trained(liars, defence, attack, reward):
        training = LiarTraining(place("complete", 9, 2, liars), "cac", attack, defence, 1)
        return LiarTrained(training, [Earned(reward, reward > 19.75, 0.0),
                                      Earned(reward + 0.2, reward > 19.55, np.inf)])

    base = [trained(0, defence, NONE, 20.0) for defence in _agreement.DEFENCES]
    few = [*base[:1], trained(1, "average", "sign-flip", 6.3), trained(2, "trimmed-mean", "sign-flip", 6.5)]
    assert [claim.passes for claim in byzantine.learning_claims(few)] == [True, True]
    assert [claim.passes for claim in byzantine.learning_claims(
        [*base[:1], trained(1, "average", "sign-flip", 15.0), trained(2, "trimmed-mean", "sign-flip", 15.0)])] == [
            False, False]
    rewards = {(liars, defence): 14.0 if (liars, defence) == (1, "trimmed-mean") else 7.0
               for liars, defence in product((1, 2), _agreement.DEFENCES)}
    for key, reward, verdicts in ((None, 0.0, [True] * 4), ((1, "trimmed-mean"), 8.0, [True, True, False, True]),
                                  ((2, "median"), 19.0, [True, True, True, False])):
        every = [trained(liars, defence, attack, 20.0 if attack == "random" else rewards[liars, defence])
                 for (liars, defence), attack in product(rewards, ("sign-flip", "random"))]
        every = [trained(*key, each.training.attack, reward) if key == (len(each.training.place.liars),
                                                                        each.training.defence) else each
                 for each in every]
        assert [claim.passes for claim in byzantine.learning_claims([*base, *every])] == verdicts
    assert few[2].row()["apart"] == np.inf and base[0].efficient == 1.0 and (few[1].least, few[1].most) == (6.3, 6.5)


def test_play_at_random_earns_what_all_joint_actions_earn_on_average():
    pays = [(a - 3.5)**2 + (a == b) + (a == c) for a, b, c in product(range(8), repeat=3)]
    assert random_play(3) == pytest.approx(np.mean(pays), abs=1e-12)


# --- networks and liars that do something else than is said ---

TWO_OF_NINE, ONE_OF_FIVE, RING, HEARD_BY_ALL = (
    byzantine.BORNE[0], byzantine.BORNE[2], byzantine.NOT_BORNE[0], byzantine.ONE_LIAR[0])
CASES = [Case(TWO_OF_NINE, "constant", 10.0, "trimmed-mean", False, 60, 0),
         Case(ONE_OF_FIVE, TWO_FACED, None, "trimmed-mean", False, 60, 0),
         *(Case(RING, attack, None, defence, True, 200, 0)
           for attack, defence in ((TWO_FACED, "trimmed-mean"), (NONE, "trimmed-mean"), (NONE, "average"))),
         *(Case(HEARD_BY_ALL, "constant", 10.0, defence, False, 60, 0)
           for defence in ("average", "clipping", "median")),
         Case(HEARD_BY_ALL, TWO_FACED, None, "median", False, 60, 0)]
written = _agreement.table


def instead(change):
    """What is written into the table [network]: `change` of (defence, f, attack, liars, scale)."""
    return lambda *given: written(*change(*given, *[None] * (5 - len(given))))


MISTAKES = {
    "one liar less is trimmed": (("table", instead(lambda way, f, *rest: (way, max(f - 1, 1), *rest))),
                                 "keep honest agents among"),
    "one more is trimmed": (("table", instead(lambda way, f, *rest: (way, f + 1, *rest))), "come to agree"),
    "averages for trimmed means": (("table", instead(lambda way, *rest: (
        "average" if way == "trimmed-mean" else way, *rest))), "leave them apart"),
    "nobody is heard": (("table", lambda *given: written(*given) | {"loss": 1.0}), "averages of honest"),
    "liars that do not lie": (("table", instead(lambda way, f, attack, *rest: (way, f, NONE, *rest))),
                              "follow one liar"),
    "messages clipped to nothing": (("RADIUS", 1e-3), "clipped to one radius"),
    "averages for medians": (("table", instead(lambda way, *rest: ("average" if way == "median" else way, *rest))),
                             "medians stay"),
    "trimmed means for medians": (("table", instead(lambda way, *rest: (
        "trimmed-mean" if way == "median" else way, *rest))), "medians make"),
}


@pytest.fixture(scope="module")
def mixed() -> list[Agreed]:
    return [mix(case) for case in CASES]


def test_the_claims_hold_of_a_few_mixings(mixed):
    assert failing(mixed) == []


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_mixing_makes_a_claim_fail(monkeypatch, name):
    change, said = MISTAKES[name]
    monkeypatch.setattr(_agreement, *change)
    assert any(said in says for says in failing([mix(case) for case in CASES]))


def test_liars_that_are_accepted_where_half_as_robust_fail(monkeypatch, mixed):
    monkeypatch.setattr(_agreement.Place, "accepted", property(lambda where: where.robust >= where.f))
    assert any("refuses" in says for says in failing(mixed))


SILENT = instead(lambda way, f, attack, *rest: (way, f, NONE, *rest))
LEARNT = {
    "one liar that does not lie": (1, "average", SILENT, "one liar is enough"),
    "two that do not lie": (2, "trimmed-mean", SILENT, "they make them learn"),
    "averages for trimmed means": (1, "trimmed-mean", instead(lambda way, *rest: ("average", *rest)), "bear one liar"),
    "liars that do not lie to any": (2, "clipping", SILENT, "one of the four ways"),
}


WORST = {(0, "average"): NONE, (1, "average"): "sign-flip", (1, "trimmed-mean"): "sign-flip",
         (2, "average"): "sign-flip", (2, "trimmed-mean"): "sign-flip", (2, "median"): "scaled",
         (2, "clipping"): "constant"}       # attacks that cost most


def under_the_worst(liars: int, defence: str) -> LiarTrained:
    where = next(each for each in byzantine.LEARNING if each.label == "complete" and len(each.liars) == liars)
    training = LiarTraining(where, "cac", WORST[liars, defence], defence, 1500)
    return LiarTrained(training, [_liars_trained.train((training, seed)) for seed in range(2)])


@pytest.fixture(scope="module")
def learnt() -> list[LiarTrained]:
    """CAC under one attack each."""
    return [under_the_worst(*cell) for cell in WORST]


@pytest.mark.long
@pytest.mark.parametrize("name", LEARNT)
def test_a_mistake_in_training_makes_a_claim_fail(monkeypatch, learnt, name):
    liars, defence, change, said = LEARNT[name]

    def fails(trained: list[LiarTrained]) -> bool:
        return any(said in claim.says for claim in byzantine.learning_claims(trained) if not claim.passes)

    monkeypatch.setattr(_liars_trained, "table", change)
    other = under_the_worst(liars, defence)
    changed = [other if each.training == other.training else each for each in learnt]
    assert fails(changed) and not fails(learnt)
