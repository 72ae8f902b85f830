"""CAC's rates (Zeng et al., 2022, Theorem 3, Propositions 1 and 2, Corollary 1): each error beside what makes it.

With alpha = c / T^(3/5) and beta, zeta = c / T^(2/5), netac's CAC runs for many T, and three sums are averaged over a
run's iterations; what is averaged is exact:

    critic      sum_i ||omega_i - omega*(theta)||^2 + ||lambda_i - lambda*(theta)||^2              O(T^-2/5)
    consensus   ||Q theta^s||^2                                                                    O(T^-2/5)
    gradient    N ||mean_i grad_i^s J||^2 + sum_i ||grad_i^p J||^2               O(T^-2/5) + eps_app + eps_sp

omega* is the fixed point of TD(0), at which Algorithm 1 comes to rest; the paper writes the minimiser of the squared TD
error (its equation 7a), which is another point.  The critics' bound has two terms that can be computed for policies
that stand still (`_two_terms`): a transient, of order T^-3/5, and a floor, of order T^-2/5.  The third, the moving
target, is shown over a grid of sigma_1 and sigma_2 by critics that begin at their fixed points.  Disagreement is what
one exchange leaves, of order alpha^2.

"single" draws (s, a, s') from mu_theta for critic and actor (Algorithm 1, line 3), "double" gives the actor a sample of
d_theta of its own (Algorithm 2).  The theorem's samples are independent; "chain" takes those of a running Markov chain,
as is done in practice.  The game is `_ferry`'s, where eps_app = 0 and eps_sp, which vanishes for tabular policies, does
not: it is the gradient at the fixed point of CAC's mean field with mu_theta in place of d_theta, and computed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from netac.exact import FiniteMDP, induced_chain, stationary_distribution, td_error_minimiser, td_fixed_point
from netac.theory import _ferry
from netac.theory._cac_measures import QUANTITIES, averages, single_sampling_limit
from netac.theory._cac_picture import draw
from netac.theory._cac_probes import TINY, direction, pursuit, resting_place
from netac.theory._claims import Claim, Finding, Table
from netac.theory._fits import PowerLaw, local_slopes, power_law
from netac.theory._lab import Lab
from netac.theory._two_terms import TeamCritics, TwoTerms
from netac.theory._walk import save_game
from netac.utils.errors import InputError

TAKES_GAME = True
RATES = QUANTITIES[:3]                      # of which the bounds speak
BOUND, SQUARED, RARE = -0.35, -1.1, 1 / 200
STEPS = {"actor_step": {"c": 12.0, "sigma": 0.6}, "critic_step": {"c": 6.0, "sigma": 0.4},
         "reward_step": {"c": 6.0, "sigma": 0.4}}
STANDING = {"actor_step": 0.0, "critic_step": 0.2, "reward_step": 0.2}
FROZEN = {"actor_step": TINY, "critic_step": 0.0, "reward_step": 0.0}
SIGMAS = (0.2, 0.5, 0.8)
AT_100 = {"actor_step": 1.5, "critic_step": 0.15, "reward_step": 0.15}      # the grid's steps where T = 100
FLOORS = (0.06, 0.03, 0.015)                                               # beta
FORECAST = tuple(10 ** k for k in range(2, 15))                            # T


@dataclass(frozen=True)
class Variant:
    """One sampling and one topology.

    Attributes:
        name: of the rows.
        sampling, topology: as an experiment file has them.
        longest: T up to which it is run.
    """

    name: str
    sampling: str
    topology: Any
    longest: int = 10**4


SINGLE = Variant("single", "stationary", "complete", 3_162)
DOUBLE = Variant("double", "iid", "complete", 1_000)
CHAIN, CHAINS = Variant("single, chain", "markov", "complete"), Variant("double, chain", "double", "complete")
PATH = Variant("path, chain", "markov", "path", 1_000)
SPARSE = [Variant(f"B = {B}, chain", "markov", {"name": "periodic-complete", "period": B}, 1_000) for B in (5, 20)]


@dataclass(frozen=True)
class Found:
    """What the runs of one variant gave.

    Attributes:
        variant: which.
        T: (n,) run lengths.
        runs: for every T (seeds, 4) averages of `QUANTITIES`.
        laws: the power law of each of `RATES`.
        terms: (n,) the two terms of the critics' error, of independent samples and standing policies; () if not known.
    """

    variant: Variant
    T: tuple[int, ...]
    runs: list[np.ndarray]
    laws: dict[str, PowerLaw]
    terms: tuple[TwoTerms, ...] = ()

    def means(self, quantity: str) -> np.ndarray:
        """(n,) over the seeds."""
        return np.array([runs[:, QUANTITIES.index(quantity)].mean() for runs in self.runs])

    def errors(self, quantity: str) -> np.ndarray:
        """(n,) standard errors of the means."""
        return np.array([runs[:, QUANTITIES.index(quantity)].std(ddof=1) / np.sqrt(len(runs)) for runs in self.runs])


def experiment(lab: Lab) -> Finding:
    """T = 10^2, 10^2.5, ..., 10^4, with eight seeds at first, four at last (quick: to 10^3, six seeds)."""
    if lab.game is not None:
        refuse(lab.game)
    known = critics(lab.game)
    variants = lab.choose([SINGLE, CHAIN, SPARSE[0]], [SINGLE, DOUBLE, CHAIN, CHAINS, PATH, *SPARSE])
    lengths = {round(10.0 ** (k / 2)): lab.choose(6, seeds) for k, seeds in
               zip(range(4, lab.choose(7, 9)), (8, 6, 6, 4, 4), strict=False)}
    with TemporaryDirectory(prefix="netac-") as folder:
        tables = _ferry.tables(Path(folder)) if lab.game is None else _tables(lab.game, Path(folder))
        tables = {**tables, "agents": known.mdp.agents, "topology": "complete"}
        wanted = [(variant, T, seed) for T in sorted(lengths, reverse=True) for variant in variants
                  for seed in range(lengths[T]) if variant.longest >= T]
        items = [{**_run(tables, variant.sampling, STEPS, T, 1000 * lab.seed + seed), "topology": variant.topology}
                 for variant, T, seed in wanted]
        done = lab.each(partial(averages, points=lab.choose(40, 60)), items)
        floor = single_sampling_limit(items[0]) if lab.game is None else 0.0
        grid = grid_rows(lab, tables, known) if lab.game is None else []
        rests, ways = probes(lab, tables) if lab.game is None else ([], {})
    runs = {(variant.name, T, seed): result for (variant, T, seed), result in zip(wanted, done, strict=True)}
    terms = {T: two_terms(known, T, STEPS) for T in (*lengths, *FORECAST)} if known.small else {}
    found = {variant.name: _found(variant, lengths, runs, terms) for variant in variants}
    shown = [Table("slopes", "Slopes of log error against log T, with 95 % intervals", _slope_rows(found)),
             Table("averages", "Errors averaged over a run's iterations, mean of the seeds and its standard error; the "
                               "critics' two terms, and the disagreement that one exchange leaves, both computed",
                   [row for each in found.values() for row in _average_rows(each)])]
    forecast = _forecast_rows({T: terms[T] for T in FORECAST} if terms else {})
    if forecast:
        shown.append(Table("two_terms", "The critics' error under standing policies and independent samples, exact",
                           forecast))
    claims = rate_claims(found)
    if lab.game is None:
        floors, places = floor_rows(known), place_rows(known)
        claims += [*term_claims(found, floors, forecast), *exchange_claims(found), *grid_claims(grid),
                   *probe_claims(rests, ways), *([] if lab.quick else gradient_claims(found, floor))]
        shown += [Table("grid", "Proposition 1 over sigma_1 and sigma_2: two exact terms for policies that stand "
                                "still, and critics that begin right and follow the actor", grid),
                  Table("floors", "The stationary error of omega over beta, exact", floors),
                  Table("fixed_points", "Uniform policies: where TD(0) comes to rest, and the minimiser of (7a)",
                        places),
                  Table("directions", "Share of the way from mu_theta's mean direction to the gradient's at which the "
                                      "actor's mean step is: each seed's",
                        [{"sampling": name, "seed": k, "share": way} for name, each in ways.items()
                         for k, way in enumerate(each)])]
    return Finding(claims, shown, partial(draw, found, floor, forecast, grid))


def _run(tables: dict[str, Any], sampling: str, steps: dict[str, Any], T: int, seed: int) -> dict[str, Any]:
    return {**tables, "iterations": T, "seed": seed, "algorithm": {"name": "cac", "sampling": sampling, **steps}}


def critics(game: FiniteMDP | None) -> TeamCritics:
    """The critics of a game with one-hot features, or of netac's own, under uniform policies on the complete graph."""
    mdp = game or _ferry.ferry()
    psi = np.eye(mdp.states * mdp.joint_actions) if game else _ferry.reward_features()
    uniform = np.full((mdp.agents, mdp.states, mdp.actions), 1.0 / mdp.actions)
    return TeamCritics(mdp, uniform, np.eye(mdp.states), psi, np.full((mdp.agents, mdp.agents), 1.0 / mdp.agents))


def two_terms(known: TeamCritics, T: int, steps: dict[str, Any]) -> TwoTerms:
    """The two terms of T iterations."""
    beta, zeta = (steps[name]["c"] / T ** steps[name]["sigma"] for name in ("critic_step", "reward_step"))
    return known.averaged(beta, zeta, T)


def floor_rows(known: TeamCritics) -> list[dict[str, Any]]:
    """The stationary error of omega for each beta of `FLOORS`."""
    floors = [(beta, known.averaged(beta, beta, 1).omega_floor) for beta in FLOORS]
    return [{"beta": beta, "floor": floor, "over_beta": floor / beta} for beta, floor in floors]


def place_rows(known: TeamCritics) -> list[dict[str, Any]]:
    """The fixed point of TD(0), which with one-hot features is V, beside the minimiser of the squared TD error."""
    places = (solve(known.mdp, known.pi, known.phi) for solve in (td_fixed_point, td_error_minimiser))
    return [{"state": s, "td_fixed_point": float(fixed), "minimiser_of_7a": float(least)}
            for s, (fixed, least) in enumerate(zip(*places, strict=True))]


def grid_rows(lab: Lab, tables: dict[str, Any], known: TeamCritics) -> list[dict[str, Any]]:
    """For pairs of `SIGMAS` the bound's exponent, the two exact terms, and what critics that begin right measure."""
    pairs = lab.choose([(0.8, 0.2), (0.2, 0.8)], [(one, two) for two in SIGMAS for one in SIGMAS])
    lengths, seeds = lab.choose((1_000,), (316, 3_162)), lab.choose(2, 3)
    steps = {pair: {name: {"c": AT_100[name] * 100**sigma, "sigma": sigma} for name, sigma in
                    zip(AT_100, (*pair, pair[1]), strict=True)} for pair in pairs}
    wanted = [(pair, T) for pair in pairs for T in lengths]
    done = lab.each(partial(pursuit, points=40), [
        _run(tables, CHAIN.sampling, steps[pair], T, 1000 * lab.seed + seed) for pair, T in wanted
        for seed in range(seeds)])
    rows = []
    for k, (pair, T) in enumerate(wanted):
        errors, terms = done[k * seeds:(k + 1) * seeds], two_terms(known, T, steps[pair])
        alpha, beta, _ = (step["c"] / T ** step["sigma"] for step in steps[pair].values())
        rows.append({"sigma_1": pair[0], "sigma_2": pair[1], "bound": exponent(*pair), "T": T, "alpha": alpha,
                     "beta": beta, "transient": terms.transient, "floor": terms.floor,
                     "begun_right": float(np.mean(errors)), "over_floor": float(np.mean(errors)) / terms.floor})
    return rows


def exponent(sigma_1: float, sigma_2: float) -> float | None:
    """The power of T that Proposition 1 bounds the critics' error by; None where it does not fall."""
    largest = max(sigma_2 - 1.0, -sigma_2, sigma_2 - 2.0 * sigma_1, 2.0 * (sigma_2 - sigma_1), 2.0 * (sigma_2 - 1.0))
    return largest if largest < 0 else None


def probes(lab: Lab, tables: dict[str, Any]) -> tuple[list[float], dict[str, list[float]]]:
    """Where the critics rest, each seed's, and by sampling whose gradient the actor follows."""
    T, seeds = lab.choose(2_000, 3_000), range(1000 * lab.seed, 1000 * lab.seed + 2)
    rests = lab.each(resting_place, [_run(tables, CHAIN.sampling, STANDING, T, seed) for seed in seeds])
    kinds = lab.choose((CHAIN, CHAINS), (SINGLE, DOUBLE, CHAIN, CHAINS))
    items = [_run(tables, kind.sampling, FROZEN, T, seed) for kind in kinds for seed in seeds]
    done = iter(lab.each(direction, items))
    return rests, {kind.name: [next(done) for _ in seeds] for kind in kinds}


def refuse(mdp: FiniteMDP) -> None:
    """Refuse a game that breaks an assumption of the theorem, or whose errors do not fall within T = 10^5 iterations.

    Raises:
        InputError: one agent; a chain that does not visit every state from everywhere, with no period; a pair (s, a)
            that uniform play sees less than once in 200 samples.
    """
    if mdp.agents < 2:
        raise InputError("needs two agents or more", key="--game", found=mdp.agents)
    chain = induced_chain(mdp, np.full((mdp.agents, mdp.states, mdp.actions), 1.0 / mdp.actions))
    if not _primitive(chain.transition):
        raise InputError("the theorem asks for a chain that comes to every state from everywhere, with no period (its "
                         "Assumption 6)", key="--game", valid="transition probabilities that are positive, for example")
    rarest = float((stationary_distribution(chain.transition)[:, None] * chain.joint).min())
    if rarest < RARE:
        raise InputError("the reward model learns one weight for each state and joint action, which uniform play has "
                         "to meet often enough for the range of T", key="--game",
                         found=f"one that has probability {rarest:.2g}", valid=f"at least {RARE:g} each")


def _primitive(transition: np.ndarray) -> bool:
    """Whether every state is reached from everywhere in the same number of steps: irreducible, and without a period."""
    reached, wanted = transition > 0, (len(transition) - 1) ** 2 + 1      # Wielandt: so many steps suffice
    while wanted > 1:
        reached, wanted = reached.astype(float) @ reached > 0, (wanted + 1) // 2
    return bool(reached.all())


def _tables(game: FiniteMDP, folder: Path) -> dict[str, Any]:
    """A user's game: one-hot features, tabular policies, one policy for all in the first half of the states."""
    return {"env": {"name": "finite-mdp", "path": save_game(game, folder / "game.npz")},
            "policy": {"name": "tabular", "shared": [f"s{s}.*" for s in range((game.states + 1) // 2)]}}


def _found(variant: Variant, lengths: dict[int, int], done: dict[tuple[str, int, int], np.ndarray],
           terms: dict[int, TwoTerms]) -> Found:
    T = tuple(sorted(T for T in lengths if variant.longest >= T))
    runs = [np.array([done[variant.name, t, seed] for seed in range(lengths[t])]) for t in T]
    laws = {name: power_law(T, [each[:, k] for each in runs]) for k, name in enumerate(RATES)}
    same = terms and variant.topology == "complete"
    return Found(variant, T, runs, laws, tuple(terms[t] for t in T) if same else ())


def rate_claims(found: dict[str, Found]) -> list[Claim]:
    """The bounds as powers of T, for every sampling and graph."""
    sources = {SINGLE.name: "paper 003, Theorem 3, Propositions 1 and 2", DOUBLE.name: "paper 003, Corollary 1"}
    return [Claim(says, sources.get(name, "paper 003, Theorem 3, and beyond it: a running chain"),
                  f"{quantity}, {name}: upper 95 % limit of the slope", each.laws[quantity].slope.high, "<=", bound)
            for name, each in found.items()
            for quantity, says, bound in (("critic", "the critics' error is O(T^-2/5)", BOUND),
                                          ("consensus", "disagreement is O(alpha^2) = O(T^-6/5)", SQUARED))]


def term_claims(found: dict[str, Found], floors: list[dict[str, Any]], forecast: list[dict[str, Any]]) -> list[Claim]:
    """The critics' error is a transient and a floor; the power that is measured is the transient's."""
    claims = []
    for name, each in found.items():
        ratios = [mean / terms.total for T, mean, terms in zip(each.T, each.means("critic"), each.terms, strict=False)
                  if T >= 1_000]
        if ratios:
            claims.append(Claim("the critics' error is a transient and a floor, both known", "paper 003, Proposition 1",
                                f"{name}, T >= 1,000: measured / computed or the inverse, the largest",
                                max(max(ratio, 1.0 / ratio) for ratio in ratios), "<=", 1.15))
    by = np.log([max(row["floor"], 1e-300) / row["transient"] for row in forecast])         # rises with T
    overtaken = float(10.0 ** np.interp(0.0, by, np.log10([row["T"] for row in forecast])))
    return [*claims,
            Claim("omega's stationary error is 1.08 to 1.12 beta", "this experiment",
                  f"largest |floor / beta - 1.1| over beta = {FLOORS}",
                  max(abs(row["over_beta"] - 1.1) for row in floors), "<=", 0.025),
            Claim("until T = 10^4 the critics' error falls as the transient does, faster than T^-2/5",
                  "paper 003, Proposition 1", "computed slope from T = 10^3 to 10^4", forecast[2]["slope"], "<=",
                  -0.55),
            Claim("the critics' error falls faster than T^-2/5 for good", "a reading of the slopes up to T = 10^4",
                  "computed slope from T = 10^13 to 10^14", forecast[-1]["slope"], ">=", -0.42, refuted=True),
            Claim("the floor takes over near T = 10^8 only", "this experiment", "T at which both terms are equal",
                  overtaken, ">=", 5e7)]


def exchange_claims(found: dict[str, Found]) -> list[Claim]:
    """On the complete graph disagreement is what one iteration makes; looks at it scatter, so that all runs count."""
    ratios = np.concatenate([(each.means("consensus") / each.means("exchange"))[1:] for each in found.values()
                             if each.variant.topology == "complete"])
    return [Claim("disagreement is alpha^2 E ||Q g||^2, what one exchange leaves", "paper 003, line 9",
                  f"|mean of measured / computed - 1|, of {len(ratios)} T >= 316 and samplings, complete graph",
                  float(abs(ratios.mean() - 1.0)), "<=", 0.15)]


def grid_claims(grid: list[dict[str, Any]]) -> list[Claim]:
    """Critics keep up with the actor if and only if sigma_1 > sigma_2."""
    last = [row for row in grid if row["T"] == max(row["T"] for row in grid)]
    slower = [row["over_floor"] for row in last if row["sigma_1"] > row["sigma_2"]]
    faster = [row["over_floor"] for row in last if row["sigma_1"] < row["sigma_2"]]
    return [Claim("sigma_1 > sigma_2: critics that begin right stay at the floor", "paper 003, Proposition 1",
                  f"largest error / floor at T = {last[0]['T']:,}", max(slower), "<=", 1.25),
            Claim("sigma_1 < sigma_2: they do not, the actor runs away from them", "paper 003, Proposition 1",
                  f"least error / floor at T = {last[0]['T']:,}", min(faster), ">=", 1.5)]


def probe_claims(rests: list[float], ways: dict[str, list[float]]) -> list[Claim]:
    """Where the critics rest, and which states the actor's mean step is of."""
    place = float(np.mean(rests))
    claims = [Claim("Algorithm 1's critics rest at the fixed point of TD(0)", "Tsitsiklis and Van Roy, 1997",
                    "distance of omega's mean from it, over that of both points", abs(place - 1.0), "<=", 0.25),
              Claim("Algorithm 1's critics rest at the minimiser of the squared TD error", "paper 003, equation (7a)",
                    "share of the way from it to the fixed point of TD(0)", place, ">=", 0.75, refuted=True)]
    for name, each in ways.items():
        own = float(name in (DOUBLE.name, CHAINS.name))
        says, source = (("double sampling: the actor's mean step is the gradient, of d_theta", "paper 003, Algorithm 2")
                        if own else ("single sampling: the actor's mean step is that of mu_theta, not the gradient",
                                     "paper 003, remarks on Proposition 2"))
        claims.append(Claim(says, source, f"{name}: distance from it, over that of both directions",
                            abs(float(np.mean(each)) - own), "<=", 0.3))
    return claims


def gradient_claims(found: dict[str, Found], floor: float) -> list[Claim]:
    """eps_sp stays under single sampling and vanishes under double; for the full form's larger T only."""
    claims = []
    for single, double in ((SINGLE.name, DOUBLE.name), (CHAIN.name, CHAINS.name)):
        one, two = (found[name].means("gradient") for name in (single, double))
        same = min(len(one), len(two))
        claims += [
            Claim("eps_sp does not vanish with T under single sampling", "paper 003, remarks on Proposition 2",
                  f"{single}: least error / eps_sp", float((one / floor).min()), ">=", 1.0, 0.1),
            Claim("the gradient is O(T^-2/5) + O(eps_sp) under single sampling", "paper 003, Theorem 3, Proposition 2",
                  f"{single}: largest error / (error of {double} + eps_sp)",
                  float((one[:same] / (two[:same] + floor)).max()), "<=", 1.5)]
    claims.append(Claim("eps_sp vanishes under double sampling", "paper 003, Corollary 1",
                        f"{CHAINS.name}: error at the largest T / eps_sp", float(two[-1] / floor), "<=", 0.6))
    return claims


def _forecast_rows(terms: dict[int, TwoTerms]) -> list[dict[str, Any]]:
    if not terms:
        return []
    slopes = local_slopes(list(terms), np.array([each.total for each in terms.values()]))
    return [{"T": float(T), "transient": each.transient, "floor": each.floor, "sum": each.total,
             "slope": None if k == 0 else float(slopes[k - 1])} for k, (T, each) in enumerate(terms.items())]


def _slope_rows(found: dict[str, Found]) -> list[dict[str, Any]]:
    rows = []
    for name, each in found.items():
        for quantity, law in each.laws.items():
            slope = law.slope
            rows.append({"variant": name, "error": quantity, "T": f"{each.T[0]} to {each.T[-1]}",
                         "slope": slope.estimate, "low": slope.low, "high": slope.high,
                         "last_slope": float(local_slopes(each.T, each.means(quantity))[-1])})
    return rows


def _average_rows(each: Found) -> list[dict[str, Any]]:
    rows = []
    for k, T in enumerate(each.T):
        row: dict[str, Any] = {"variant": each.variant.name, "sampling": each.variant.sampling, "T": T,
                               "seeds": len(each.runs[k])}
        for quantity in RATES:
            row |= {quantity: float(each.means(quantity)[k]), f"{quantity}_se": float(each.errors(quantity)[k])}
        rows.append(row | {"two_terms": each.terms[k].total if each.terms else None,
                           "one_exchange": float(each.means("exchange")[k])
                           if each.variant.topology == "complete" else None})
    return rows
