"""What liars do to agents that agree and to agents that learn, and what trimming, medians and clipping bear.

**Mixing alone.**  Where a graph is robust enough (LeBlanc, Zhang, Koutsoukos and Sundaram, 2013: (2 f + 1)-robust, with
at most f liars in a neighbourhood) honest agents that leave out the f largest and the f smallest values stay among
their own first values and come to agree, whatever is lied.  It is held here against netac's five attacks, each with its
own scale and one far from it, and against liars that know all and tell every hearer something else; these are netac's
own conditions and exchange.  Where two groups of honest agents hear at most f others from outside, agents hold on to
what they have: such groups are searched for, and shown to stay apart.

**Learning.**  CAC, and in the full form coordinated PPO, on the coordination game among 0 to f liars, every attack
against every way of mixing, `allow_insecure` where netac would refuse.  Liars act and learn as the others do, and
rewards are the mean of all agents.  Agreement is what theorems promise; that honest agents learn is not among it, and
is not found here for the trimmed mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from netac.theory._agreement import DEFENCES, NONE, SCALES, TWO_FACED, Case, Mixed, Place, mix, place
from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab
from netac.theory._liars_trained import Trained, Training, random_play, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEBLANC = "LeBlanc et al., 2013"
GONE = 1e-6                                                 # of the honest agents' first range
ROUNDS = 200
BORNE = (place("complete", 9, 2, 2), place("exponential", 9, 1, 1), place("complete", 5, 1, 1),
         place("complete", 9, 2, 1), place("complete", 13, 3, 3), place("exponential", 8, 1, 1),
         place("exponential", 9, 2, 2), place("periodic-complete", 9, 2, 2, period=5),
         place("erdos-renyi", 16, 1, 1, probability=0.6, seed=1))
NOT_BORNE = (place("ring", 9, 1, 1), place("exponential", 9, 2, (0, 1, 2)), place("torus", 9, 1, (0, 1, 2)),
             place("small-world", 10, 1, (0, 5)), place("exponential", 16, 2, 0))
ONE_LIAR = (place("complete", 9, 2, 1), place("exponential", 9, 1, 1), place("ring", 9, 1, 1))
LEARNING = (place("complete", 9, 2, 2), place("complete", 9, 2, 1), place("complete", 9, 2, 0),
            place("exponential", 9, 1, 1), place("exponential", 9, 1, 0), place("ring", 9, 1, 1),
            place("ring", 9, 1, 0))


def experiment(lab: Lab) -> Finding:
    """All places and attacks, three seeds of learning (quick: two places, netac's own scales; five agents learn)."""
    mixed: list[Mixed] = lab.each(mix, cases(lab), "mixings")
    trainings, seeds = to_learn(lab), range(1000 * lab.seed, 1000 * lab.seed + lab.choose(2, 3))
    found = lab.each(train, list(product(trainings, seeds)), "runs")
    trained = [Trained(training, found[k * len(seeds):(k + 1) * len(seeds)]) for k, training in enumerate(trainings)]
    tables = (Table("mixing", f"Mixing alone, {ROUNDS} rounds: how far outside of their first values honest agents "
                              "ever were, and how far apart they are at the end, over the range of these values",
                    [each.row() for each in mixed]),
              Table("learning", "The coordination game: an agent's reward in the last tenth, mean over seeds with a 95 % "
                                "interval; `apart`: honest agents' policies, over their size",
                    [each.row() for each in trained]))
    return Finding([*mixing_claims(mixed), *learning_claims(trained)], tables, partial(draw, mixed, trained))


def cases(lab: Lab) -> list[Case]:
    """The mixings to be done."""
    lies = [(attack, scale) for attack, scales in SCALES.items() for scale in scales[:lab.choose(1, 2)]]
    lies.append((TWO_FACED, None))
    seeds = range(lab.seed, lab.seed + lab.choose(1, 3))
    found = [Case(where, attack, scale, "trimmed-mean", False, ROUNDS, seed)
             for where in BORNE[:lab.choose(2, len(BORNE))] for attack, scale in lies
             for seed in seeds if attack != TWO_FACED or where.robust > 2 * where.f]
    found += [Case(where, attack, None, defence, True, ROUNDS, lab.seed)
              for where in NOT_BORNE[:lab.choose(2, len(NOT_BORNE))]
              for attack, defence in ((TWO_FACED, "trimmed-mean"), (NONE, "trimmed-mean"), (NONE, "average"))
              if where.liars or attack == NONE]
    found += [Case(where, attack, scale, defence, False, ROUNDS, lab.seed)
              for where in ONE_LIAR[:lab.choose(1, len(ONE_LIAR))] for defence in DEFENCES if defence != "trimmed-mean"
              for attack, scale in lies]
    return found


def to_learn(lab: Lab) -> list[Training]:
    """The trainings to be done."""
    if lab.quick:
        few = [place("complete", 5, 1, liars) for liars in (0, 1)]
        return [Training(few[0], "cac", NONE, "average", 1500),
                *(Training(few[1], "cac", "sign-flip", defence, 1500) for defence in ("average", "trimmed-mean"))]
    found = [Training(where, "cac", attack, defence, 2000) for where in LEARNING
             for attack in (SCALES if where.liars else (NONE,)) for defence in DEFENCES]
    if find_spec("torch"):
        found += [Training(where, "cppo", attack, defence, 1000) for where in (LEARNING[0], LEARNING[2])
                  for attack in (SCALES if where.liars else (NONE,)) for defence in DEFENCES]
    return found


def mixing_claims(mixed: Sequence[Mixed]) -> list[Claim]:
    """Of mixing alone."""
    borne = [each for each in mixed if each.case.defence == "trimmed-mean" and not each.case.groups]
    split = [each for each in mixed if each.case.groups]
    stuck = [each for each in split if each.case.defence == "trimmed-mean"
             and (each.case.attack == TWO_FACED or not each.case.place.liars)]
    free = [each for each in split if each.case.defence == "average"]
    refused = [each.case.place for each in stuck if each.case.place.liars]
    alone = [each for each in mixed if not each.case.groups and each.case.defence != "trimmed-mean"]

    def of(defence: str, one_graph: str = "") -> list[Mixed]:
        return [each for each in alone if each.case.defence == defence and each.case.place.label.startswith(one_graph)]

    graphs = {each.case.place.label for each in alone}
    return [
        Claim("where netac accepts the liars, trimmed means keep honest agents among their first values, whatever is "
              "lied", LEBLANC, f"furthest outside of their range, of it, in any round of {len(borne)} mixings",
              max(each.outside for each in borne), "<=", 0.0, 1e-12),
        Claim("and they come to agree", LEBLANC, f"most that is left of their range after {ROUNDS} rounds",
              max(each.apart[-1] for each in borne), "<=", GONE),
        Claim("where two groups of honest agents hear at most f others from outside, trimmed means leave them apart for "
              "ever", LEBLANC, f"least that is left of their range on {len(stuck)} graphs, {ROUNDS} rounds",
              min(each.apart[-1] for each in stuck), ">=", 1.0, 1e-12),
        Claim("netac refuses liars there", "netac", "how many of these places with liars it accepts",
              float(sum(where.accepted for where in refused)), "<=", 0.0),
        Claim("plain averages of honest agents agree from the same values", "netac",
              "most that is left of their range", max(each.apart[-1] for each in free), "<=", GONE),
        Claim("averages follow one liar out of the honest agents' values, on every graph", "Blanchard et al., 2017",
              "least, over graphs, of the furthest outside that an attack takes them, over their range",
              min(max(each.outside for each in of("average", graph)) for graph in graphs), ">=", 2.0),
        Claim("messages clipped to one radius follow it, too, only more slowly", "netac",
              "least, over graphs, of the furthest outside that an attack takes them, over their range",
              min(max(each.outside for each in of("clipping", graph)) for graph in graphs), ">=", 1.0),
        Claim("medians stay among honest values where a liar is one of nine that are heard", "Yin et al., 2018",
              "furthest outside, complete graph", max(each.outside for each in of("median", "complete")), "<=", 0.0,
              1e-12),
        Claim("medians make honest agents of a complete graph agree", "a common belief",
              "what one two-faced liar of nine leaves of their range",
              max(each.apart[-1] for each in of("median", "complete")), ">=", 0.1, refuted=True)]


def learning_claims(trained: Sequence[Trained]) -> list[Claim]:
    """Of learning."""
    return []


def draw(mixed: Sequence[Mixed], trained: Sequence[Trained]) -> Figure:
    """Disagreement by rounds, the hull, and what is earned."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(11.0, 4.6), layout="constrained")
    return figure
