"""The step of trust-region methods, with and without a bound on costs: natural directions by conjugate gradients, and
backtracking along them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from netac.agents.transitions import Transitions
from netac.algorithms.policy_gradient.masks import average
from netac.algorithms.policy_gradient.options import TrustRegion
from netac.utils.errors import RunError

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.policies import NeuralPolicy

PARALLEL = 1e-12           # of squared lengths: across the constraint there is nothing left of the gradient
Product = Callable[[np.ndarray], np.ndarray]      # (d,) x -> (d,) H x


def conjugate_gradient(product: Product, g: np.ndarray, iterations: int = 10, tolerance: float = 1e-10) -> np.ndarray:
    """Approximate solution x of H x = g, for a symmetric positive semidefinite H (Hestenes and Stiefel, 1952).

    Args:
        product: x -> H x; its result may be of any precision.
        g: (d,).
        iterations: at most so many products.
        tolerance: done when |g - H x|^2 <= tolerance |g|^2.

    Returns:
        (d,) double; the iterate so far once a direction has no curvature, zeros for g = 0.
    """
    residual = np.array(g, dtype=float)
    x, direction = np.zeros(residual.shape), residual.copy()
    size = float(residual @ residual)
    enough = tolerance * size
    for _ in range(iterations):
        if size <= enough:
            break
        bent = np.asarray(product(direction), dtype=float)
        curvature = float(direction @ bent)
        if curvature <= 0:
            break
        length = size / curvature
        x += length * direction
        residual -= length * bent
        before, size = size, float(residual @ residual)
        direction = residual + (size / before) * direction
    return x


def natural_direction(product: Product, g: np.ndarray, delta: float, damping: float,
                      iterations: int = 10) -> np.ndarray:
    """The whole step of Kuba et al. (2022), equation 8 (with alpha^j = 1): sqrt(2 delta / (x'H x)) x, x = H^-1 g.

    H + damping I takes the place of H throughout, so that the quadratic model of KL at the step, with H alone, is delta
    at most.

    Args:
        product: x -> H x, H the Hessian of the expected KL divergence.
        g: (d,) gradient of the surrogate's mean.
        delta: bound of the KL divergence.
        damping: >= 0.
        iterations: of the conjugate gradients.

    Returns:
        (d,) double; zeros for g = 0.

    Raises:
        RunError: gradient or curvature are not finite.
    """
    x, bend = _solved(_damped(product, damping), g, iterations)
    return np.sqrt(2.0 * delta / bend) * x if bend > 0 else np.zeros(x.shape)


def constrained_direction(product: Product, g: np.ndarray, b: np.ndarray, excess: float, delta: float, damping: float,
                          iterations: int = 10) -> np.ndarray:
    """The step of Gu et al. (2021) for one constraint: the largest g'step with excess + b'step <= 0 in the region.

    The region is step'H step / 2 <= delta, H + damping I for H.  With x = H^-1 g and y = H^-1 b the solution is

    - sqrt(2 delta / x'Hx) x, that of `natural_direction`, where that fulfils the constraint;
    - else -excess / (b'y) y, which takes the constraint to its bound, and what is left of the region along
      x - (b'x) / (b'y) y, which leaves it there: in the paper (x - nu y) / lambda, by the dual's lambda and nu;
    - -sqrt(2 delta / y'Hy) y, the recovery step, down the cost alone, where no step of the region fulfils it.

    Args:
        product, g, delta, damping, iterations: as those of `natural_direction`.
        b: (d,) gradient of the surrogate cost's mean.
        excess: cost of the old policy less its limit, in the same units.

    Returns:
        (d,) double.

    Raises:
        RunError: a gradient or the curvature are not finite.
    """
    bent = _damped(product, damping)
    (x, q), (y, s) = (_solved(bent, each, iterations) for each in (g, b))
    free = np.sqrt(2.0 * delta / q) * x if q > 0 else np.zeros(x.shape)
    slope = float(b @ y)
    if excess + float(b @ free) <= 0:
        return free
    if s <= 0 or slope <= 0:                                        # nothing that the agent does changes its cost
        return np.zeros(x.shape)
    if excess > np.sqrt(2.0 * delta * s):
        return -np.sqrt(2.0 * delta / s) * y
    across = x - float(b @ x) / slope * y
    width = float(across @ bent(across))
    left = max(2.0 * delta - excess * excess / s, 0.0)
    along = np.sqrt(left / width) * across if width > PARALLEL * q else np.zeros(x.shape)
    return along - excess / slope * y


def _damped(product: Product, damping: float) -> Product:
    return lambda x: product(x) + damping * x


def _solved(product: Product, g: np.ndarray, iterations: int) -> tuple[np.ndarray, float]:
    """x = H^-1 g and x'Hx; RunError where they are not finite."""
    x = conjugate_gradient(product, g, iterations)
    bend = float(x @ product(x)) if x.any() else 0.0
    if not (np.isfinite(g).all() and np.isfinite(bend)):
        raise RunError("the policy's gradient or the curvature of its KL divergence is not finite")
    return x, bend


def backtrack(evaluate: Callable[[float], tuple[float, ...]], expected: float, *bounds: float, factor: float = 0.5,
              tries: int = 10, accept: float = 0.1) -> float:
    """The line search of equation 8: the first of 1, factor, factor^2, ... at which the step can be trusted.

    Args:
        evaluate: scale -> the improvement over the old policy, and what has bounds, the mean KL divergence from it
            first, of the policy at the old parameters + scale x step.
        expected: g'step, what the improvement of the whole step would be if the surrogate were linear.
        bounds: largest KL divergence, and of what else is evaluated.
        factor, tries: how the scale shrinks, and how many are tried.
        accept: least improvement, as a part of scale x expected; besides, it has to be positive.

    Returns:
        The scale, or 0.0 where none of them will do (numbers that are not finite never do): no step.
    """
    for k in range(tries):
        scale = factor**k
        improvement, *bounded = evaluate(scale)
        within = all(found <= bound for found, bound in zip(bounded, bounds, strict=True))
        if np.isfinite(improvement) and within and improvement > 0 and improvement >= accept * expected * scale:
            return scale
    return 0.0


def natural_step(policy: NeuralPolicy, theta: np.ndarray, b: Transitions, g: np.ndarray,
                 improvement: Callable[[np.ndarray], float], settings: TrustRegion) -> None:
    """Move the policy of one agent, in place, by the step along the natural direction that can be trusted.

    Args:
        theta: (1, d) its parameters.
        b: M samples drawn with them.
        g: (d,) gradient at theta of the objective's mean, with that of the policy's entropy bonus.
        improvement: of the objective, without the bonus, from log ratios (1, M) of the new policy to the old one.
    """
    near = _Neighbours(policy, theta, b)
    step = natural_direction(near.product, g, settings.delta, settings.damping, settings.conjugate_gradients)

    def evaluate(scale: float) -> tuple[float, float]:
        log_ratio, bonus, kl = near.at(scale * step)
        return improvement(log_ratio) + bonus, kl

    near.search(evaluate, step, float(g @ step), settings, settings.delta)


def constrained_step(policy: NeuralPolicy, theta: np.ndarray, b: Transitions, g: np.ndarray,
                     improvement: Callable[[np.ndarray], float], of_cost: np.ndarray,
                     rise: Callable[[np.ndarray], float], excess: float, settings: TrustRegion) -> None:
    """Move the policy of one agent, in place, by the step of `constrained_direction` that can be trusted.

    As long as the cost is within its limit, the objective has to improve as in `natural_step`, and the surrogate cost
    may rise by no more than what is left to the limit.  Beyond the limit it has to fall, by the part `accept` of what
    the linear model says, and the objective is not asked.

    Args:
        theta, b, g, improvement: as those of `natural_step`.
        of_cost: (d,) gradient at theta of the surrogate cost's mean.
        rise: of the surrogate cost, from log ratios (1, M).
        excess: cost of the old policy less its limit.
    """
    near = _Neighbours(policy, theta, b)
    step = constrained_direction(near.product, g, of_cost, excess, settings.delta, settings.damping,
                                 settings.conjugate_gradients)

    def within(scale: float) -> tuple[float, float, float]:
        log_ratio, bonus, kl = near.at(scale * step)
        return improvement(log_ratio) + bonus, kl, rise(log_ratio)

    def beyond(scale: float) -> tuple[float, float]:
        log_ratio, _, kl = near.at(scale * step)
        return -rise(log_ratio), kl

    if excess <= 0:
        near.search(within, step, float(g @ step), settings, settings.delta, -excess)
    else:
        near.search(beyond, step, -float(of_cost @ step), settings, settings.delta)


class _Neighbours:
    """The policies near that of one agent, which drew M samples.

    Args:
        policy, theta, b: as those of `natural_step`.
    """

    def __init__(self, policy: NeuralPolicy, theta: np.ndarray, b: Transitions):
        self._policy, self._theta, self._b = policy, theta, b
        self._start, self._taken = theta.copy(), b.own[0]
        self._before = policy.distributions(theta, b)[0]
        self._old = self._before.log_prob(self._taken)

    def product(self, v: np.ndarray) -> np.ndarray:
        """(d,) v -> (d,) H v, H the Hessian of the mean KL divergence from the old policy."""
        v = v[None].astype(self._theta.dtype)
        return self._policy.fisher_product(self._theta, self._b, v).astype(float)[0] / len(self._taken)

    def at(self, move: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Move there from the old policy: log ratios (1, M), the entropy bonus less the old one, the mean KL."""
        policy, b, before = self._policy, self._b, self._before
        self._theta[:] = self._start + move
        after = policy.distributions(self._theta, b)[0]
        bonus = policy.entropy * average((after.entropy() - before.entropy())[None], b.active).item()
        return ((after.log_prob(self._taken) - self._old)[None], bonus,
                average(before.kl(after)[None], b.active).item())

    def search(self, evaluate: Callable[[float], tuple[float, ...]], step: np.ndarray, expected: float,
               settings: TrustRegion, *bounds: float) -> None:
        """Move by as much of the step as `backtrack` trusts."""
        scale = backtrack(evaluate, expected, *bounds, tries=settings.backtracks, accept=settings.accept)
        self._theta[:] = self._start + scale * step
