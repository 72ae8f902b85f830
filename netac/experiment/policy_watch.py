"""Warnings of policies that run away: whose entropy collapses, or that change too much in one iteration."""

from __future__ import annotations

from typing import Any

import numpy as np

from netac.agents.transitions import Transitions
from netac.comm.gathering import Gathering
from netac.experiment.build import Parts
from netac.experiment.diagnostics import reported
from netac.utils.progress import note
from netac.utils.spaces import ActionSpace

LARGEST_KL = 0.1          # of a policy from itself one iteration before, mean over what its agent sees
LEAST_SPREAD = 0.01       # of the entropy of even choices; of vectors, a standard deviation


class PolicyWatch:
    """Looks at the policies before and after iterations that are logged, where the algorithm reports nothing itself.

    Args:
        parts: what is trained; only networks without memory are looked at.
    """

    def __init__(self, parts: Parts):
        policy = parts.agents.policy
        self._parts, self._gathering = parts, Gathering(parts.placement, parts.comm)
        self._told: set[tuple[int, str]] = set()
        self._seen: Transitions | None = None
        self._then: list[Any] = []
        self.wanted = (parts.setting.plays_games and not reported(parts)
                       and not getattr(policy, "memory", 0) and hasattr(policy, "distributions"))

    def before(self) -> None:
        """Look at what the policies do now, in what their agents see."""
        if self.wanted:
            sampler: Any = self._parts.sampler
            view = sampler.feeds[0].view
            self._seen = Transitions(obs=[own.copy() for own in view.obs], allowed=sampler.allowed(view))
            self._then = self._policies()

    def after(self, iteration: int) -> None:
        """Compare, and warn once of each agent and kind of trouble; every process must call it."""
        if not self.wanted:
            return
        assert self._seen is not None, "`before` was called"
        agents: Any = self._parts.agents
        now, local = self._policies(), self._parts.placement.local
        rows = np.zeros((len(local), 2))
        for k, (one, two) in enumerate(zip(self._then, now, strict=True)):
            entropy = two.entropy()
            if self._seen.allowed is not None:             # of one action alone it is always 0
                entropy = entropy[agents.policy.actions[local[k]].leaves_choice(self._seen.allowed[k])]
            rows[k] = one.kl(two).mean(), entropy.mean() if len(entropy) else np.inf
        whole = self._gathering.rows(rows)
        if whole is None:
            return
        spaces = self._parts.setting.model.policy.actions
        for agent, (kl, entropy) in enumerate(whole.tolist()):
            if kl > LARGEST_KL:
                self._tell(agent, iteration, f"its policy changed by a KL divergence of {kl:.3g} (more than "
                           f"{LARGEST_KL}): a smaller actor_step, or actor_radius, may help", "kl")
            if entropy < least_entropy(spaces[agent]):
                self._tell(agent, iteration, f"the entropy of its policy fell to {entropy:.3g}: it hardly explores any "
                           "more; policy.entropy, a smaller actor_step or clip may help", "entropy")

    def _tell(self, agent: int, iteration: int, what: str, kind: str) -> None:
        if (agent, kind) not in self._told:
            self._told.add((agent, kind))
            note(f"iteration {iteration}, agent {agent}: {what}")

    def _policies(self) -> list[Any]:
        agents: Any = self._parts.agents
        return agents.policy.distributions(agents.parameters.theta, self._seen)


def least_entropy(space: ActionSpace) -> float:
    """Below which a policy is told of."""
    if space.choices:
        return LEAST_SPREAD * float(np.log(space.choices).sum())
    return space.size * (0.5 * float(np.log(2 * np.pi * np.e)) + float(np.log(LEAST_SPREAD)))
