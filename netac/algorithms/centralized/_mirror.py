"""What heterogeneous-agent mirror learning is given: a drift and a neighbourhood, netac's own or a user's function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from netac.agents.steps import NonNegative
from netac.agents.transitions import Transitions
from netac.algorithms.policy_gradient.drifts import Drift, clip_drift, fault, kl_drift, no_drift, wrong
from netac.algorithms.policy_gradient.learner import Learner
from netac.algorithms.policy_gradient.options import Bounded, Clipping
from netac.utils import plugins
from netac.utils.errors import InputError, RunError, raised
from netac.utils.plugins import Factory

if TYPE_CHECKING:                # loads torch
    from netac.agents.neural.policies import NeuralPolicy

Inside = Callable[[np.ndarray, np.ndarray], bool]       # (M,) KL divergences, (M,) total variations -> whether

DRIFT, NEIGHBOURHOOD = "algorithm.drift", "algorithm.neighbourhood"
A_DRIFT = ("a function of log ratios and M that gives two double arrays of their shape: values that are 0 where a log "
           "ratio is 0, flat there and nowhere negative, and their derivatives in the log ratio")
A_NEIGHBOURHOOD = ("a function of two arrays, KL divergences and total variations of the new policy from the old one, "
                   "that is True where all of them are near 0")
_NEAR = 1e-12            # a KL divergence that is in every neighbourhood, with the total variation of that order


class Mirror(Clipping, Bounded):
    """Options of a drift and a neighbourhood; `clip_range` is the former's if it is "clip", `delta` the latter's."""

    drift: Literal["none", "clip", "kl"] | Factory = Field("clip", description=(
        '"none", "clip", "kl", or { factory = "package.module:function", kwargs = { } }, where the function gives '
        "d(log ratios, M): values and their derivatives in the log ratios"))
    drift_coefficient: NonNegative = Field(1.0, description='c of drift = "kl"')
    neighbourhood: Literal["everywhere", "kl"] | Factory = Field("everywhere", description=(
        '"everywhere", "kl": the mean KL divergence is at most delta, or { factory = "package.module:function", '
        "kwargs = { } }, where the function gives inside(KL divergences, total variations): true or false"))

    def drifting(self, agents: int) -> tuple[Drift, float | None]:
        """d for `agents` = N agents, and half the width of the clip range where there is one."""
        if isinstance(self.drift, Factory):
            return _watched(self.drift, _made(self.drift, DRIFT, agents)), None
        if self.drift == "clip":
            epsilon = self.epsilon(agents)
            return partial(clip_drift, epsilon=epsilon), epsilon
        return no_drift if self.drift == "none" else partial(kl_drift, coefficient=self.drift_coefficient), None

    def inside(self, agents: int) -> Inside | None:
        """Whether a new policy is in the neighbourhood of the old one; None: every one is."""
        if isinstance(self.neighbourhood, Factory):
            return _decided(self.neighbourhood, _made(self.neighbourhood, NEIGHBOURHOOD, agents))
        return None if self.neighbourhood == "everywhere" else lambda kl, tv: bool(kl.mean() <= self.delta)

    def check(self, agents: int) -> None:
        """Refuse a user's function that is no drift, or no neighbourhood, on samples.

        Raises:
            InputError: it is not, or cannot be had.
        """
        if isinstance(self.drift, Factory):
            drift = _made(self.drift, DRIFT, agents)
            _refuse(self.drift, DRIFT, A_DRIFT, lambda: fault(partial(_answer, "it", drift)))
        if isinstance(self.neighbourhood, Factory):
            inside = _decided(self.neighbourhood, _made(self.neighbourhood, NEIGHBOURHOOD, agents))
            _refuse(self.neighbourhood, NEIGHBOURHOOD, A_NEIGHBOURHOOD, lambda: None if all(
                inside(np.full(samples, kl), np.full(samples, kl**0.5)) for samples in (1, 7) for kl in (0.0, _NEAR)
            ) else "it leaves out the old policy, or all policies near it")


def draw_back(learner: Learner[NeuralPolicy], b: Transitions, start: np.ndarray, inside: Inside, halvings: int) -> None:
    """Move one agent's policy, in place, back towards the old one until it is inside of its neighbourhood.

    It goes half of the way at a time, and the whole of it after so many halvings.

    Args:
        start: (1, d) parameters of the old policy, which drew the samples `b`; divergences are those in the samples
            that the agent took part in.
    """
    policy, theta, end = learner.policy, learner.theta, learner.theta.copy()
    took = np.ones(len(b.own[0]), dtype=bool) if b.active is None else b.active[0] > 0
    if not took.any():
        return
    theta[:] = start
    before = policy.distributions(theta, b)[0]
    for k in range(halvings + 1):
        theta[:] = start + np.array(0.5**k, theta.dtype) * (end - start) if k else end
        after = policy.distributions(theta, b)[0]
        if inside(before.kl(after)[took], before.tv(after)[took]):
            return
    theta[:] = start


# --- users' functions ---

def _made(factory: Factory, key: str, agents: int) -> Callable[..., Any]:
    """The function that an import path gives; InputError where it gives none."""
    made = plugins.call(plugins.import_path(factory, key), factory, key, agents=agents)
    if not callable(made):
        raise InputError("what it gives is no function", key=f"{key}.factory", found=type(made).__name__,
                         valid=A_DRIFT if key == DRIFT else A_NEIGHBOURHOOD)
    return made


def _refuse(factory: Factory, key: str, valid: str, look: Callable[[], str | None]) -> None:
    """InputError with what is wrong, if `look` finds or raises something."""
    try:
        problem = look()
    except RunError as error:
        problem = str(error)
    if problem:
        raise InputError(f"is no {key.rpartition('.')[2]}: {problem}", key=f"{key}.factory", found=factory.factory,
                         valid=valid)


def _watched(factory: Factory, drift: Drift) -> Drift:
    """A drift that ends the run where it fails, or turns out to be none."""
    def watched(log_ratio: np.ndarray, M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = _answer(f"the drift {factory.factory}", drift, log_ratio, M)
        if problem := wrong(found, log_ratio, M):
            raise RunError(f"the drift {factory.factory} is none: {problem}")
        return found

    return watched


def _decided(factory: Factory, inside: Inside) -> Inside:
    """A neighbourhood that ends the run where it fails."""
    what = f"the neighbourhood {factory.factory}"

    def decided(kl: np.ndarray, tv: np.ndarray) -> bool:
        found = _answer(what, inside, kl, tv)
        if not isinstance(found, bool | np.bool_):
            raise RunError(f"{what} gives {type(found).__name__}, not true or false")
        return bool(found)

    return decided


def _answer(what: str, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
    """What a user's function gives for copies of arrays; RunError where it fails."""
    try:
        with np.errstate(all="ignore"):
            return function(*(each.copy() for each in arrays))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise RunError(f"{what} fails: {raised(error)}") from error
