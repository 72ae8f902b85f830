"""CAC's rates (Zeng et al., 2022, Theorem 3, Propositions 1 and 2, Corollary 1): errors fall like T^(-2/5) or faster.

With alpha = c / T^(3/5) and beta, zeta = c / T^(2/5), netac's CAC runs for many T, and three sums are averaged over a
run's iterations; what is averaged is exact:

    critic      sum_i ||omega_i - omega*(theta)||^2 + ||lambda_i - lambda*(theta)||^2              O(T^-2/5)
    consensus   ||Q theta^s||^2                                                                    O(T^-2/5)
    gradient    N ||mean_i grad_i^s J||^2 + sum_i ||grad_i^p J||^2               O(T^-2/5) + eps_app + eps_sp

The slopes are those of log-log lines through the means, with no floor subtracted: a bound holds if the slope's upper
95 % limit is at most -0.35.  "single" draws (s, a, s') from mu_theta for critic and actor (Algorithm 1, line 3),
"double" gives the actor a sample of d_theta of its own (Algorithm 2).  The theorem's samples are independent; "chain"
takes those of a running Markov chain, as is done in practice.  The game is `_ferry`'s, where eps_app = 0 and eps_sp,
which vanishes for tabular policies, does not: it is the gradient at the fixed point of CAC's mean field with mu_theta
in place of d_theta, and computed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from netac.exact import (
    FiniteMDP,
    action_value,
    induced_chain,
    objective_and_gradient,
    reward_fixed_point,
    stationary_distribution,
    td_fixed_point,
)
from netac.exact.values import agent_marginals
from netac.theory import _ferry
from netac.theory._claims import Claim, Finding, Table
from netac.theory._fits import PowerLaw, local_slopes, power_law
from netac.theory._lab import Lab
from netac.theory._walk import finite, in_parameters, looks, policies, save_game, walk
from netac.utils.errors import InputError, RunError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netac.experiment.build import Parts

TAKES_GAME = True
QUANTITIES = ("critic", "consensus", "gradient")
BOUND, RARE = -0.35, 1 / 200
REST = 20_000               # Euler steps in which a mean field must converge
STEPS = {"actor_step": {"c": 12.0, "sigma": 0.6}, "critic_step": {"c": 6.0, "sigma": 0.4},
         "reward_step": {"c": 6.0, "sigma": 0.4}}


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
    longest: int = 10**5


SINGLE, DOUBLE = Variant("single", "stationary", "complete"), Variant("double", "iid", "complete")
CHAIN, CHAINS = Variant("single, chain", "markov", "complete"), Variant("double, chain", "double", "complete")
PATH = Variant("path, chain", "markov", "path", 31_623)
SPARSE = [Variant(f"B = {B}, chain", "markov", {"name": "periodic-complete", "period": B}, 31_623) for B in (5, 20)]


@dataclass(frozen=True)
class Found:
    """What the runs of one variant gave.

    Attributes:
        variant: which.
        T: (n,) run lengths.
        runs: for every T (seeds, 3) averages of `QUANTITIES`.
        laws: the power law of each quantity.
    """

    variant: Variant
    T: tuple[int, ...]
    runs: list[np.ndarray]
    laws: dict[str, PowerLaw]

    def means(self, quantity: str) -> np.ndarray:
        """(n,) over the seeds."""
        return np.array([runs[:, QUANTITIES.index(quantity)].mean() for runs in self.runs])

    def errors(self, quantity: str) -> np.ndarray:
        """(n,) standard errors of the means."""
        return np.array([runs[:, QUANTITIES.index(quantity)].std(ddof=1) / np.sqrt(len(runs)) for runs in self.runs])


def experiment(lab: Lab) -> Finding:
    """T = 10^2, 10^2.5, ..., 10^5, with 24 seeds at first, three at last (quick: to 10^3, six seeds, four variants)."""
    if lab.game is not None:
        refuse(lab.game)
    variants = lab.choose([SINGLE, DOUBLE, CHAIN, SPARSE[0]], [SINGLE, DOUBLE, CHAIN, CHAINS, PATH, *SPARSE])
    lengths = {round(10.0 ** (k / 2)): lab.choose(6, seeds) for k, seeds in
               zip(range(4, lab.choose(7, 11)), (24, 16, 12, 8, 6, 4, 3), strict=False)}
    with TemporaryDirectory(prefix="netac-") as folder:
        tables = _ferry.tables(Path(folder)) if lab.game is None else _tables(lab.game, Path(folder))
        tables["agents"] = (lab.game or _ferry.ferry()).agents
        wanted = [(variant, T, seed) for T in sorted(lengths, reverse=True) for variant in variants
                  for seed in range(lengths[T]) if variant.longest >= T]
        items = [{**tables, "iterations": T, "seed": 1000 * lab.seed + seed, "topology": variant.topology,
                  "algorithm": {"name": "cac", "sampling": variant.sampling, **STEPS}} for variant, T, seed in wanted]
        done = lab.each(partial(averages, points=lab.choose(60, 160)), items)
        floor = single_sampling_limit(items[0]) if lab.game is None else 0.0
    runs = {(variant.name, T, seed): result for (variant, T, seed), result in zip(wanted, done, strict=True)}
    found = {variant.name: _found(variant, lengths, runs) for variant in variants}
    claims = _critic_claims(found)
    if lab.game is None:
        claims += _gradient_claims(found, floor, lab.quick)
    shown = (Table("slopes", "Slopes of log error against log T, with 95 % intervals", _slope_rows(found)),
             Table("averages", "Errors averaged over a run's iterations, mean of the seeds and its standard error",
                   [row for each in found.values() for row in _average_rows(each)]))
    return Finding(claims, shown, partial(draw, found, floor))


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


def averages(tables: dict[str, Any], points: int) -> np.ndarray:
    """(3,) `QUANTITIES`, averaged over a run's iterations, as estimated from `points` of them."""
    times, shares = looks(tables["iterations"], points, tables["seed"])
    return shares @ [measured(parts) for parts in walk(tables, times)]


def measured(parts: Parts) -> np.ndarray:
    """(3,) `QUANTITIES` now."""
    x, env, pi = parts.agents.parameters, finite(parts), policies(parts)
    mdp = env.mdp
    critic = (np.square(x.omega - td_fixed_point(mdp, pi, env.phi)).sum()
              + np.square(x.lam - reward_fixed_point(mdp, pi, env.psi.table)).sum())
    consensus = np.square(x.shared - x.shared.mean(axis=0)).sum()
    return np.array([critic, consensus, stationarity(parts, objective_and_gradient(mdp, pi)[1])])


def stationarity(parts: Parts, gradient: np.ndarray) -> float:
    """N ||mean_i grad_i^s J||^2 + sum_i ||grad_i^p J||^2 of the *unnormalised* J (equation 3).

    Args:
        gradient: (N, S, A) of the normalised J with respect to the logits.
    """
    g = in_parameters(parts, gradient) / (1.0 - finite(parts).mdp.gamma)
    shared = parts.setting.layout.shared
    return float(len(g) * np.square(g[:, :shared].mean(axis=0)).sum() + np.square(g[:, shared:]).sum())


def single_sampling_limit(tables: dict[str, Any]) -> float:
    """eps_sp: the stationarity measure at the fixed point that CAC with exact critics and s ~ mu_theta reaches.

    The mean field is sum_s,a mu(s) pi(a|s) A(s, a) grad log pi(a|s), averaged over the agents in the shared part.
    Euler steps along it start at the run's first parameters and end when it is below 1e-10.

    Raises:
        RunError: the steps do not converge.
    """
    parts = next(walk({**tables, "iterations": 1}, [0]))
    x, mdp, shared = parts.agents.parameters, finite(parts).mdp, parts.setting.layout.shared
    for _ in range(REST):
        pi = policies(parts)
        chain = induced_chain(mdp, pi)
        joint = stationary_distribution(chain.transition)[:, None] * chain.joint
        Q = action_value(mdp, pi)
        advantage = Q - (chain.joint * Q).sum(axis=1, keepdims=True)
        step = in_parameters(parts, agent_marginals(joint * advantage, mdp.agents, mdp.actions))
        step[:, :shared] = step[:, :shared].mean(axis=0)
        if np.abs(step).max() < 1e-10:
            return stationarity(parts, objective_and_gradient(mdp, pi)[1])
        x.theta += 5.0 * step
    raise RunError(f"CAC's mean field does not come to rest within {REST} steps")


def _found(variant: Variant, lengths: dict[int, int], done: dict[tuple[str, int, int], np.ndarray]) -> Found:
    T = tuple(sorted(T for T in lengths if variant.longest >= T))
    runs = [np.array([done[variant.name, t, seed] for seed in range(lengths[t])]) for t in T]
    return Found(variant, T, runs, {name: power_law(T, [each[:, k] for each in runs])
                                    for k, name in enumerate(QUANTITIES)})


def _steepness(says: str, source: str, each: Found, quantity: str) -> Claim:
    return Claim(says, source, f"{quantity}, {each.variant.name}: upper 95 % limit of the slope",
                 each.laws[quantity].slope.high, "<=", BOUND)


def _critic_claims(found: dict[str, Found]) -> list[Claim]:
    """The bounds T^(-2/5) of critics and disagreement, which hold for every sampling and graph."""
    sources = {SINGLE.name: "paper 003, Theorem 3, Propositions 1 and 2", DOUBLE.name: "paper 003, Corollary 1"}
    return [_steepness(says, sources.get(name, "paper 003, Theorem 3, and beyond it: a running chain"), each, quantity)
            for name, each in found.items()
            for quantity, says in (("critic", "the critics' error is O(T^-2/5)"),
                                   ("consensus", "disagreement over the shared policy is O(T^-2/5)"))]


def _gradient_claims(found: dict[str, Found], floor: float, quick: bool) -> list[Claim]:
    """eps_sp stays under single sampling and vanishes under double; the latter is for the full form's larger T only."""
    claims = []
    for single, double in ((SINGLE.name, DOUBLE.name), (CHAIN.name, CHAINS.name)):
        one = found[single].means("gradient")
        claims.append(Claim("eps_sp does not vanish with T under single sampling",
                            "paper 003, remarks on Proposition 2", f"{single}: least error / eps_sp",
                            float((one / floor).min()), ">=", 1.0, 0.1))
        if not quick:
            two = found[double].means("gradient")
            claims += [
                _steepness("the gradient is O(T^-2/5) where the actor has samples of its own", "paper 003, Corollary 1",
                           found[double], "gradient"),
                Claim("the gradient is O(T^-2/5) + O(eps_sp) under single sampling",
                      "paper 003, Theorem 3, Proposition 2", f"{single}: largest error / (error of {double} + eps_sp)",
                      float((one / (two + floor)).max()), "<=", 2.0),
                Claim("eps_sp vanishes under double sampling", "paper 003, Corollary 1",
                      f"{double}: error at the largest T / eps_sp", float(two[-1] / floor), "<=", 0.5)]
    return claims


def _slope_rows(found: dict[str, Found]) -> list[dict[str, Any]]:
    rows = []
    for name, each in found.items():
        for quantity, law in each.laws.items():
            slope, means = law.slope, each.means(quantity)
            rows.append({"variant": name, "error": quantity, "T": f"{each.T[0]} to {each.T[-1]}",
                         "slope": slope.estimate, "low": slope.low, "high": slope.high,
                         "last_slope": float(local_slopes(each.T, means)[-1]),
                         "floor": power_law(each.T, [runs[:, QUANTITIES.index(quantity)] for runs in each.runs],
                                            floored=True).floor.estimate})
    return rows


def _average_rows(each: Found) -> list[dict[str, Any]]:
    rows = []
    for k, T in enumerate(each.T):
        row: dict[str, Any] = {"variant": each.variant.name, "sampling": each.variant.sampling, "T": T,
                               "seeds": len(each.runs[k])}
        for quantity in QUANTITIES:
            row |= {quantity: float(each.means(quantity)[k]), f"{quantity}_se": float(each.errors(quantity)[k])}
        rows.append(row)
    return rows


def draw(found: dict[str, Found], floor: float) -> Figure:
    """The three errors against T, and all slopes beside the bound's."""
    from matplotlib.figure import Figure

    from netac.utils.pictures import PALETTE

    figure = Figure(figsize=(10.5, 8.0), layout="constrained")
    panels = figure.subplots(2, 2)
    colours = {name: PALETTE[k % len(PALETTE)] for k, name in enumerate(found)}
    titles = {"critic": "critics: distance to their fixed points", "consensus": "disagreement over the shared policy",
              "gradient": "gradient"}
    for panel, quantity in zip(panels.flat, QUANTITIES, strict=False):
        for name, each in found.items():
            panel.errorbar(each.T, each.means(quantity), 1.96 * each.errors(quantity), fmt="o-", ms=3.5, lw=1.2,
                           color=colours[name], label=name)
        T = np.array(next(iter(found.values())).T, dtype=float)
        start = max(each.means(quantity)[0] for each in found.values())
        panel.plot(T, 1.6 * start * (T / T[0]) ** -0.4, "--", color="#555555", lw=1, label="slope $-2/5$")
        if quantity == "gradient" and floor > 0:
            panel.axhline(floor, color="#999999", lw=1, ls=":", label=r"$\epsilon_{sp}$, computed")
        panel.set(xscale="log", yscale="log", xlabel="iterations T", ylabel="average over a run",
                  title=titles[quantity])
    panels[0, 0].legend(fontsize=7)
    panels[1, 0].legend(fontsize=7, handles=panels[1, 0].lines[-1:] if floor > 0 else [])
    _draw_slopes(panels[1, 1], found, colours)
    return figure


def _draw_slopes(panel: Any, found: dict[str, Found], colours: dict[str, str]) -> None:
    names = [(quantity, name) for quantity in QUANTITIES for name in found]
    for place, (quantity, name) in enumerate(names):
        slope = found[name].laws[quantity].slope
        panel.plot([slope.low, slope.high], [place, place], color=colours[name], lw=2)
        panel.plot(slope.estimate, place, "o", color=colours[name], ms=4)
    panel.axvline(-0.4, ls="--", lw=1, color="#555555")
    panel.set(yticks=range(len(names)), xlabel="slope, 95 % interval", title="slopes beside the bound's $-2/5$")
    panel.set_yticklabels([f"{quantity}: {name}" for quantity, name in names], fontsize=6.5)
    panel.invert_yaxis()
