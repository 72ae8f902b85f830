"""The step of trust-region methods: the natural direction by conjugate gradients, and backtracking along it."""

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
    def damped(x: np.ndarray) -> np.ndarray:
        return product(x) + damping * x

    x = conjugate_gradient(damped, g, iterations)
    bend = float(x @ damped(x)) if x.any() else 0.0
    if not (np.isfinite(g).all() and np.isfinite(bend)):
        raise RunError("the policy's gradient or the curvature of its KL divergence is not finite")
    return np.sqrt(2.0 * delta / bend) * x if bend > 0 else np.zeros(x.shape)


def backtrack(evaluate: Callable[[float], tuple[float, float]], expected: float, delta: float, factor: float = 0.5,
              tries: int = 10, accept: float = 0.1) -> float:
    """The line search of equation 8: the first of 1, factor, factor^2, ... at which the step can be trusted.

    Args:
        evaluate: scale -> the surrogate's improvement over the old policy, and the mean KL divergence from it, of the
            policy at the old parameters + scale x step.
        expected: g'step, what the improvement of the whole step would be if the surrogate were linear.
        delta: largest KL divergence.
        factor, tries: how the scale shrinks, and how many are tried.
        accept: least improvement, as a part of scale x expected; besides, it has to be positive.

    Returns:
        The scale, or 0.0 where none of them will do (numbers that are not finite never do): no step.
    """
    for k in range(tries):
        scale = factor**k
        improvement, kl = evaluate(scale)
        if np.isfinite(improvement) and kl <= delta and improvement > 0 and improvement >= accept * expected * scale:
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
    start, taken, samples = theta.copy(), b.own[0], len(b.own[0])
    before = policy.distributions(theta, b)[0]
    old = before.log_prob(taken)

    def product(v: np.ndarray) -> np.ndarray:
        return policy.fisher_product(theta, b, v[None].astype(theta.dtype)).astype(float)[0] / samples

    step = natural_direction(product, g, settings.delta, settings.damping, settings.conjugate_gradients)

    def evaluate(scale: float) -> tuple[float, float]:
        theta[:] = start + scale * step
        after = policy.distributions(theta, b)[0]
        bonus = policy.entropy * average((after.entropy() - before.entropy())[None], b.active).item()
        return (improvement((after.log_prob(taken) - old)[None]) + bonus,
                average(before.kl(after)[None], b.active).item())

    scale = backtrack(evaluate, float(g @ step), settings.delta, tries=settings.backtracks, accept=settings.accept)
    theta[:] = start + scale * step
