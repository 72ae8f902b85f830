"""The maximum of a linear function of an agent's policy less a penalty on its largest KL divergence from the old one.

    argmax_q  sum_s rho(s) <g(s, .), q(.|s)>  -  C max_s KL(p(.|s), q(.|s)),     q eta-soft: q(a|s) >= eta,

which is line 7 of Algorithm 1 in Kuba et al., 2022.  Within a ball KL <= d a state's maximum has a multiplier
lambda >= 0 and a mu > max_a g(a) with

    q(a) = max(eta, lambda p(a) / (mu - g(a))),     sum_a q(a) = 1,

a family of one parameter, mu, along which KL falls from that of the best eta-soft policy to 0.  lambda is what a larger
ball would bring: G_s'(d).  As sum_s rho(s) G_s(d) - C d is concave, d is where sum_s rho(s) lambda_s(d) = C.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

POINTS, PASSES = 33, 12    # values of mu that are tried at a time in every state, and how often
NEAR, FAR = -50.0, 45.0     # log of (mu - max g) / (max g - min g), where q is the best there is, and where it is p
ASIDE, TIE = 1e-9, 1e-12    # of a kink, in the log of the radius
SMALLEST = 1e-24            # radius of a ball; a step within a smaller one is lost in rounding


class BallOptimum(NamedTuple):
    """The best policy within a ball."""

    q: np.ndarray
    """(S, A)."""
    multipliers: np.ndarray
    """(S,) lambda_s; 0 where the ball does not bind."""
    radius: float
    """max_s KL(p(.|s), q(.|s))."""


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p, q) over the last axis, summed from terms none of which is negative, so that small ones are not lost."""
    x = (q - p) / p
    terms = np.where(np.abs(x) < 1e-5, x * x * (0.5 - x / 3.0), x - np.log1p(x))
    return (p * terms).sum(axis=-1)


def without_penalty(g: np.ndarray, p: np.ndarray, eta: float) -> np.ndarray:
    """argmax_q <g(s, .), q>, q eta-soft, (S, A); where actions are alike, the one nearest to p."""
    scaled, span = _scaled(g)
    return np.where(span[:, None] > 0.0, _family(scaled, p, np.full(len(g), NEAR), eta)[0], p)


def within_ball(g: np.ndarray, p: np.ndarray, radius: float, eta: float) -> BallOptimum:
    """argmax_q <g(s, .), q> with KL(p(.|s), q) <= radius in every state, q eta-soft.

    Args:
        g: (S, A).
        p: (S, A), eta-soft and positive.
    """
    best = without_penalty(g, p, eta)
    free = divergence(p, best) <= radius
    g, span = _scaled(g)
    states, low, high = np.arange(len(g)), np.full(len(g), NEAR), np.full(len(g), FAR)
    for _ in range(PASSES):
        tried = np.linspace(low, high, POINTS, axis=1)
        q, _ = _family(g[:, None], p[:, None], tried, eta)
        inside = np.clip((divergence(p[:, None], q) > radius).sum(axis=1), 1, POINTS - 1)
        low, high = tried[states, inside - 1], tried[states, inside]
    q, weight = _family(g, p, high, eta)
    q = np.where(free[:, None], best, q)
    return BallOptimum(q, np.where(free, 0.0, weight * span), float(divergence(p, q).max()))


def penalised(g: np.ndarray, p: np.ndarray, rho: np.ndarray, C: float, eta: float) -> BallOptimum:
    """The maximum of the module's docstring.

    Its multipliers, times rho, sum to C, unless the penalty is too small to bind.

    Args:
        g, p: as in `within_ball`.
        rho: (S,) weights of the states, at least 0.
        C: the penalty's weight, at least 0.
    """
    best = without_penalty(g, p, eta)
    corners = divergence(p, best)                       # radii at which states get their best policies: kinks of G_s
    if C == 0.0 or corners.max() <= SMALLEST:
        return BallOptimum(best, np.zeros(len(g)), float(corners.max()))
    unit, span = _scaled(g)
    moving = np.flatnonzero(corners > SMALLEST)
    unit, p_, scale, full = unit[moving], p[moving], (rho * span)[moving], np.log(corners[moving])
    low, high, states = np.full(len(moving), NEAR), np.full(len(moving), FAR), np.arange(len(moving))
    least, most = np.log(SMALLEST), full.max() + ASIDE
    for _ in range(PASSES):
        tried, radii = np.linspace(low, high, POINTS, axis=1), np.linspace(least, most, POINTS)
        q, weight = _family(unit[:, None], p_[:, None], tried, eta)
        reached = np.log(np.maximum(divergence(p_[:, None], q), 1e-300))                # falls along mu, lambda grows
        outside = (reached[:, None] > radii[:, None]).sum(axis=2)                       # (S, radii): of the mu's
        bounds = np.concatenate([np.zeros((len(moving), 1)), scale[:, None] * weight], axis=1)
        lower = np.take_along_axis(bounds, outside, axis=1).sum(axis=0)
        upper = np.take_along_axis(bounds, np.minimum(outside + 1, POINTS), axis=1)
        upper = np.where(radii >= full[:, None], 0.0, upper).sum(axis=0)
        least = radii[max(int((lower > C).sum()) - 1, 0)]
        most = radii[min(POINTS - int((upper < C).sum()), POINTS - 1)]
        low = tried[states, np.maximum((reached >= np.minimum(most, full - TIE)[:, None]).sum(axis=1) - 1, 0)]
        high = tried[states, np.minimum((reached > least).sum(axis=1), POINTS - 1)]
    radius = np.exp(0.5 * (least + most))
    there = (corners > SMALLEST) & (np.abs(corners / radius - 1.0) < 2.0 * ASIDE)
    if not there.any():
        return within_ball(g, p, radius, eta)
    step = within_ball(g, p, corners[there].max() * (1.0 + ASIDE), eta)
    left = (C - rho @ step.multipliers) / (rho @ there)                                 # what the kink leaves open
    return step._replace(multipliers=np.where(there, left, step.multipliers))


def shortfall(g: np.ndarray, p: np.ndarray, rho: np.ndarray, C: float, eta: float, step: BallOptimum) -> float:
    """An upper bound of the maximum's excess over what a step attains, whatever method the step comes from.

    With any weights >= 0 that sum to C, the penalty of q' is at least sum_s weights(s) KL(p, q'), and what then stands
    in its place is concave: no q' is above its tangent at q, whose largest value is at a corner of the eta-soft
    policies.
    """
    weights = rho * step.multipliers
    total = weights.sum()
    weights = weights * (C / total) if total > 0.0 else np.full(len(g), C / len(g))
    tangent = rho[:, None] * g + weights[:, None] * p / step.q
    corner = eta * tangent.sum(axis=1) + (1.0 - eta * g.shape[1]) * tangent.max(axis=1)
    above = corner - (tangent * step.q).sum(axis=1)
    reached = divergence(p, step.q)
    return float(above.sum() + C * reached.max() - weights @ reached)


def _scaled(g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """g shifted and scaled to [-1, 0], and the scales (S,): 0 where the actions differ by rounding only."""
    span = np.ptp(g, axis=1)
    span = np.where(span <= 1e-14 * np.abs(g).max(), 0.0, span)
    return (g - g.max(axis=1, keepdims=True)) / np.where(span > 0.0, span, 1.0)[:, None], span


def _family(g: np.ndarray, p: np.ndarray, log_mu: np.ndarray, eta: float) -> tuple[np.ndarray, np.ndarray]:
    """q (..., A) and lambda (...) at mu = exp(log_mu), for g that is 0 at best."""
    odds = p / (np.exp(log_mu)[..., None] - g)
    falling = np.sort(odds, axis=-1)[..., ::-1]
    number = np.arange(1, g.shape[-1] + 1)                          # of actions above eta
    weights = (1.0 - eta * (g.shape[-1] - number)) / np.cumsum(falling, axis=-1)
    above = np.maximum((weights * falling >= eta).sum(axis=-1, keepdims=True), 1)
    weight = np.take_along_axis(weights, above - 1, axis=-1)
    return np.maximum(eta, weight * odds), weight[..., 0]
