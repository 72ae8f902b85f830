"""What liars do to agents that agree and to agents that learn, and what trimming, medians and clipping bear.

**Mixing alone.**  Where a graph is robust enough (LeBlanc, Zhang, Koutsoukos and Sundaram, 2013: (2 f + 1)-robust, with
at most f liars in a neighbourhood) honest agents that leave out the f largest and the f smallest values stay among
their own first values and come to agree, whatever is lied.  It is held here against netac's five attacks, each with its
own scale and one far from it, and against liars that know all and tell every hearer something else; these are netac's
own conditions and exchange.  Where two groups of honest agents hear at most f others from outside, agents hold on to
what they have: such groups are searched for, and shown to stay apart.

**Learning.**  CAC, and in the full form coordinated PPO, on the coordination game among 0 to f liars, every attack
against every way of mixing, `allow_insecure` where netac would refuse.  Liars act and learn as the others do, and
rewards are the mean of all agents.  Agreement is what theorems promise; that honest agents learn is not among it:
with the trimmed mean coordinated PPO does, and CAC does not under every attack.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from netac.theory._agreement import DEFENCES, NONE, SCALES, TWO_FACED, Agreed, Case, Place, mix, place
from netac.theory._claims import Claim, Finding, Table
from netac.theory._lab import Lab
from netac.theory._liars_trained import Earned, LiarTrained, LiarTraining, random_play, train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEBLANC = "LeBlanc et al., 2013"
SEEDS = {"cac": 3, "cppo": 2}
NAMED = {"cac": "CAC", "cppo": "coordinated PPO"}
GONE = 1e-6                                                 # of the honest agents' first range
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
    """All places and attacks, CAC with three seeds and coordinated PPO with two (quick: two places, few trainings)."""
    mixed: list[Agreed] = lab.each(mix, cases(lab), "mixings")
    runs = [(training, 1000 * lab.seed + k) for training in to_learn(lab)
            for k in range(lab.choose(2, SEEDS[training.algorithm]))]
    outcomes: dict[LiarTraining, list[Earned]] = {}
    for (training, _), outcome in zip(runs, lab.each(train, runs), strict=True):
        outcomes.setdefault(training, []).append(outcome)
    trained = [LiarTrained(training, found) for training, found in outcomes.items()]
    learning = Table("learning", "The coordination game: an agent's reward in the last tenth, mean over seeds with a "
                                 "95 % interval; `apart`: honest agents' policies, over their size",
                     [each.row() for each in trained])
    return Finding([*mixing_claims(mixed), *learning_claims(trained)], (mixing_table(mixed), learning),
                   partial(draw, mixed, trained))


def cases(lab: Lab) -> list[Case]:
    """The mixings to be done."""
    lies: list[tuple[str, float | None]] = [(TWO_FACED, None)]
    lies += [(attack, scale) for attack, scales in SCALES.items() for scale in scales[:lab.choose(1, 2)]]
    seeds, rounds = range(lab.seed, lab.seed + lab.choose(1, 3)), lab.choose(100, 200)
    found = [Case(where, attack, scale, "trimmed-mean", False, rounds, seed)
             for where in BORNE[:lab.choose(2, len(BORNE))] for attack, scale in lies
             for seed in seeds if attack != TWO_FACED or where.robust > 2 * where.f]
    found += [Case(where, attack, None, defence, True, rounds, lab.seed)
              for where in NOT_BORNE[:lab.choose(2, len(NOT_BORNE))]
              for attack, defence in ((TWO_FACED, "trimmed-mean"), (NONE, "trimmed-mean"), (NONE, "average"))
              if where.liars or attack == NONE]
    found += [Case(where, attack, scale, defence, False, rounds, lab.seed)
              for where in ONE_LIAR[:lab.choose(1, len(ONE_LIAR))] for defence in DEFENCES if defence != "trimmed-mean"
              for attack, scale in lies]
    return found


def to_learn(lab: Lab) -> list[LiarTraining]:
    """The trainings to be done."""
    both, one, nobody = LEARNING[:3]

    def everything(algorithm: str, samples: int, where: Place) -> list[LiarTraining]:
        return [LiarTraining(where, algorithm, attack, defence, samples)
                for attack in (SCALES if where.liars else (NONE,)) for defence in DEFENCES]

    if lab.quick:
        return [LiarTraining(nobody, "cac", NONE, "average", 1500),
                LiarTraining(one, "cac", "sign-flip", "average", 1500),
                LiarTraining(both, "cac", "sign-flip", "trimmed-mean", 1500)]
    found = [each for where in LEARNING for each in everything("cac", 1500, where)]
    if find_spec("torch"):
        found += everything("cppo", 1000, both) + everything("cppo", 1000, nobody)
    return found


def mixing_table(mixed: Sequence[Agreed]) -> Table:
    """One line for all lies that are told at a place to agents that mix in one way, from one kind of start."""
    groups: dict[tuple[Place, str, bool, bool], list[Agreed]] = {}
    for each in mixed:
        it = each.case
        groups.setdefault((it.place, it.defence, it.groups, it.attack == NONE), []).append(each)
    rows = []
    for (where, defence, split, _), ours in groups.items():
        out, apart = max(ours, key=lambda each: each.outside), max(ours, key=lambda each: each.apart[-1])
        lies = {(each.case.attack, each.case.scale) for each in ours} - {(NONE, None)}
        rows.append({"graph": where.label, "agents": where.agents, "robust": where.robust, "f": where.f,
                     "liars": len(where.liars), "accepted": where.accepted, "defence": defence,
                     "start": "groups" if split else "random", "lies": len(lies), "outside": out.outside,
                     "outside_by": out.case.attack, "apart": float(apart.apart[-1]), "apart_by": apart.case.attack})
    return Table("mixing", "Mixing alone: how far outside of their first values honest agents ever were, and how far "
                           "apart they are at the end, over the range of these values; under the worst of so many lies",
                 rows)


def mixing_claims(mixed: Sequence[Agreed]) -> list[Claim]:
    """Of mixing alone."""
    borne = [each for each in mixed if each.case.defence == "trimmed-mean" and not each.case.groups]
    stuck = [each for each in mixed if each.case.defence == "trimmed-mean" and each.case.groups
             and (each.case.attack == TWO_FACED or not each.case.place.liars)]
    free = [each for each in mixed if each.case.defence == "average" and each.case.groups]
    refused = [each.case.place for each in stuck if each.case.place.liars]
    ten = [each for each in mixed if (each.case.groups, each.case.attack, each.case.scale) == (False, "constant", 10.0)]
    median = [each for each in mixed if each.case.defence == "median" and each.case.place.label == "complete"]
    return [
        Claim("where netac accepts the liars, trimmed means keep honest agents among their first values, whatever is "
              "lied", LEBLANC, f"furthest outside of their range, of it, in any round of {len(borne)} mixings",
              _most([each.outside for each in borne]), "<=", 0.0, 1e-12),
        Claim("and they come to agree", LEBLANC, "most that is left of their range",
              _most([each.apart[-1] for each in borne]), "<=", GONE),
        Claim("where two groups of honest agents hear at most f others from outside, trimmed means leave them apart",
              LEBLANC, f"least that is left of their range, on {len(stuck)} graphs",
              min(each.apart[-1] for each in stuck), ">=", 1.0, 1e-12),
        Claim("netac refuses liars there", "netac", "how many of these graphs and liars it accepts",
              float(sum(where.accepted for where in refused)), "<=", 0.0),
        Claim("averages of honest agents agree from the same values", "netac", "most that is left of their range",
              _most([each.apart[-1] for each in free]), "<=", GONE),
        Claim("averages follow one liar out of the honest agents' values, on every graph", "Blanchard et al., 2017",
              "least, over graphs, that a liar who says 10 takes them outside, over their range",
              min(each.outside for each in ten if each.case.defence == "average"), ">=", 2.0),
        Claim("messages clipped to one radius follow it, too, only more slowly", "netac",
              "least, over graphs, that a liar who says 10 takes them outside, over their range",
              min(each.outside for each in ten if each.case.defence == "clipping"), ">=", 0.5),
        Claim("medians stay among honest values where a liar is one of nine that are heard", "Yin et al., 2018",
              "furthest outside, complete graph", _most([each.outside for each in median]), "<=", 0.0, 1e-12),
        Claim("medians make the honest agents of a complete graph agree", "a common belief",
              "what one two-faced liar of nine leaves of their range", max(each.apart[-1] for each in median), ">=",
              0.1, refuted=True)]


def _most(numbers: Sequence[float]) -> float:
    """The largest; NaN where there is one."""
    return float(np.max(numbers))


def learning_claims(trained: Sequence[LiarTrained]) -> list[Claim]:
    """Of learning on the complete graph, with CAC and, where it was trained, coordinated PPO."""
    def under(liars: int, defence: str, algorithm: str = "cac") -> list[LiarTrained]:
        return [each for each in trained if each.training.place.label == "complete" and (
            len(each.training.place.liars), each.training.defence, each.training.algorithm) == (
                liars, defence, algorithm)]

    def worst(liars: int, defence: str) -> LiarTrained:
        return min(under(liars, defence), key=lambda each: each.reward.estimate)

    honest, = under(0, "average")
    alone, f = honest.reward.estimate, honest.training.place.f

    claims = [
        Claim("one liar is enough to keep agents that average from learning with CAC", "netac",
              "largest reward of a seed under the attack that costs most, over the mean without liars",
              worst(1, "average").most / alone, "<=", 0.5),
        Claim("where trimmed means make honest agents agree, they make them learn with CAC", "a common hope",
              f"largest reward of a seed under the attack that costs most, {f} liars, over the mean without",
              worst(f, "trimmed-mean").most / alone, "<=", 0.5, refuted=True)]
    if under(1, "trimmed-mean"):                                    # all attacks and ways of mixing were tried
        claims += [
            Claim(f"trimmed means with f = {f} bear one liar of nine, whatever it does, better than averages do",
                  "netac", "least reward of a seed with trimmed means / largest of one that averages, under the attack "
                  "that costs most",
                  min(each.least for each in under(1, "trimmed-mean")) / worst(1, "average").most, ">=", 1.5),
            Claim(f"one of the four ways of mixing lets CAC learn whichever of the five attacks {f} liars make",
                  "a common hope", "largest, over ways, of the mean reward under the attack that costs it most, over "
                  "that without liars", max(worst(f, each).reward.estimate for each in DEFENCES) / alone, "<=", 0.6,
                  refuted=True)]
    if trimmed := under(f, "trimmed-mean", "cppo"):
        best = under(0, "trimmed-mean", "cppo")[0].reward.estimate
        claims.append(Claim(
            f"trimmed means let coordinated PPO learn, whichever of the five attacks {f} liars make",
            "this experiment", "least reward of a seed over the mean without liars",
            min(each.least for each in trimmed) / best, ">=", 0.85))
    return claims


def draw(mixed: Sequence[Agreed], trained: Sequence[LiarTrained]) -> Figure:
    """Disagreement by rounds, and what each algorithm earns among the most liars on the complete graph."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    algorithms = list(dict.fromkeys(each.training.algorithm for each in trained))
    figure = Figure(figsize=(5.5 + 6.0 * len(algorithms), 4.4), layout="constrained")
    left, *others = figure.subplots(1, 1 + len(algorithms), width_ratios=(1.0, *[1.25] * len(algorithms)))
    for each in {(one.case.place, one.case.defence, one.case.groups): one for one in mixed
                 if one.case.attack == TWO_FACED and one.case.defence == "trimmed-mean"}.values():
        where, held = each.case.place, each.apart[-1] > 0.5
        left.semilogy(np.maximum(each.apart[:61], 1e-16), color=PALETTE[1] if held else PALETTE[0], lw=1.3, alpha=0.8)
        if held:
            left.plot([], color=PALETTE[1], label=f"{where.label} {where.agents}, f = {where.f}: not robust enough")
    left.plot([], color=PALETTE[0], label="robust graphs")
    left.set(xlabel="rounds of trimmed means", ylabel="honest agents' range / that at first",
             title="two-faced liars")
    left.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.15))
    for axes, algorithm in zip(others, algorithms, strict=True):
        _draw_rewards(axes, [each for each in trained if each.training.algorithm == algorithm], PALETTE)
    return figure


def _draw_rewards(axes: Axes, trained: Sequence[LiarTrained], colours: Sequence[str]) -> None:
    """What one algorithm earns under every attack and way of mixing."""
    most = max(len(each.training.place.liars) for each in trained)
    bars = [each for each in trained
            if each.training.place.label == "complete" and len(each.training.place.liars) == most]
    attacks = list(dict.fromkeys(each.training.attack for each in bars))
    shown = [defence for defence in DEFENCES if defence in {each.training.defence for each in bars}]
    for colour, (k, defence) in zip(colours, enumerate(shown), strict=False):
        ours = [each for each in bars if each.training.defence == defence]
        at = np.array([attacks.index(each.training.attack) for each in ours]) + 0.8 * (k + 0.5) / len(shown) - 0.4
        axes.bar(at, [each.reward.estimate for each in ours], 0.75 / len(shown), color=colour, label=defence)
        axes.vlines(at, [each.least for each in ours], [each.most for each in ours], color="#222222", lw=1.0)
    alone = next(each for each in trained if not each.training.place.liars and each.training.defence == "average")
    axes.axhline(alone.reward.estimate, color="#555555", lw=1.0, ls="--")
    axes.axhline(random_play(alone.training.place.agents), color="#555555", lw=1.0, ls=":")
    axes.set(xticks=range(len(attacks)), ylabel="reward, mean and range of seeds", ylim=(0.0, None),
             title=f"{NAMED[alone.training.algorithm]}, {most} of {alone.training.place.agents} agents lie\n"
                   "(dashed: none; dotted: play at random)")
    axes.set_xticklabels(attacks, fontsize=8)
    axes.legend(fontsize=8, ncols=len(shown), loc="upper center", bbox_to_anchor=(0.5, -0.1))
