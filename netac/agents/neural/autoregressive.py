"""One model of all agents' actions, which are drawn one after the other, and of the agents' values.

The model is a network with the inputs and outputs of `netac.agents.networks.transformer`.  Whoever holds it acts for
all N agents, so that it is asked about all of them at once.  Its parameters are the row of agent 0, single precision;
the other agents hold nothing, and their rows are zeros.  Samples an agent took no part in have weight 0, and the others
a weight (`sample_weight`) such that dividing a gradient by N M gives the mean over them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Literal, Self

import numpy as np

from netac.agents.distributions import Distribution, ProductFamily, distribution_of
from netac.agents.networks._factory import Network
from netac.agents.networks._torch import torch
from netac.agents.neural.modules import Modules, tensor
from netac.agents.neural.networks import Networks, networks
from netac.agents.neural.passes import Pass, Passes, Seen
from netac.agents.neural.policies import LOG_STD, Allowed, Weigh
from netac.agents.neural.tensors import describe
from netac.agents.transitions import Transitions
from netac.utils.plugins import BuiltIn
from netac.utils.spaces import ActionSpace, ProductSpace

Judge = Callable[[np.ndarray], np.ndarray]      # (N, M) values -> what pulls at them, (N, M)


class SequenceModel:
    """The module of the model, whose parameters are bound to what is handed in.

    Attributes:
        networks: what it is: a network of one agent.
        module: `netac.agents.networks.transformer.Transformer`.
        passes: through it.
    """

    def __init__(self, made: Networks):
        self.networks, self.module = made, made.make(0, 0)
        self.passes = Passes(Modules([self.module], made.tensors), 1, made.size)


@dataclass(frozen=True)
class AutoregressivePolicy:
    """pi(a|o) = product over m of pi^{i_m}(a^{i_m} | o, a^{i_1}, ..., a^{i_{m-1}}), and V(o^i) of every agent i.

    What agents see is padded with zeros to the longest, and so are their actions as numbers, one-hot or vectors as
    drawn; with `identity` both say whose they are.  An agent that takes no part is shown as the games show it, and as
    having done what was drawn for it: when the others act, and when the model learns.

    Attributes:
        memory, shared: 0: nothing is remembered, and nothing shared between rows.
        actions: (N) action spaces.
        shapes: (N) shapes of what agents see.
        order: (N) the agents in the order in which they act.
        entropy: coefficient of the entropy bonus.
        log_std: initial value of the log standard deviations of vectors, a tensor beside the module's own.
        deviations: whether they are learned, or their gradient is 0.
        identity: whether the model is told whose tokens are.
    """

    model: SequenceModel
    actions: tuple[ActionSpace, ...]
    shapes: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    entropy: float
    log_std: float
    deviations: Literal["learned", "fixed"]
    identity: bool

    memory: ClassVar[int] = 0
    shared: ClassVar[int] = 0

    @property
    def networks(self) -> Networks:
        """The model's."""
        return self.model.networks

    @property
    def size(self) -> int:
        """d, how many parameters the model has."""
        return self.networks.size

    @cached_property
    def encodes(self) -> np.ndarray:
        """(d,) bool, which parameters are the encoder's, of which the values are."""
        found = np.zeros(self.size, dtype=bool)
        for name, place in self.networks.tensors[0].places.items():
            found[place] = name.startswith("encoder.")
        return found

    def of(self, agents: range) -> Self:
        """Itself: the model is of all agents together."""
        return self

    def in_order(self, order: Sequence[int]) -> Self:
        """The same model, whose agents act in this order."""
        return replace(self, order=tuple(order))

    def describe(self) -> str:
        """Which tensors there are, with shapes and counts."""
        return describe("model of all agents", self.networks.tensors)

    def held(self, theta: np.ndarray, samples: int) -> AbstractContextManager[None]:
        """Within it theta (N, d) stays as it is; nobody's stays, too."""
        return self.model.passes.held(theta[:1], samples) if len(theta) else nullcontext()

    def initial(self, seed: int, agents: range) -> np.ndarray:
        """Initial theta of `agents`, (n, d) single precision: the model in the row of agent 0, else zeros."""
        rows = np.zeros((len(agents), self.size), dtype=np.float32)
        for row, agent in zip(rows, agents, strict=True):
            if agent == 0:
                row[:] = self.networks.rows(seed, range(1))[0]
                row[self._log_stds] = self.log_std
        return rows

    def act(self, theta: np.ndarray, obs: list[np.ndarray], uniforms: np.ndarray | None, keep: bool = True,
            memory: np.ndarray | None = None,
            allowed: Allowed = None) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Draw the actions of all agents, one after the other, each given those before; of nobody where `obs` is empty.

        Arguments and results are those of `netac.agents.neural.policies.NeuralPolicy.act`; probabilities are not told.
        """
        own: list[Any] = [None] * len(obs)
        if not obs:
            return own, own
        actions = np.zeros((len(obs[0]), len(obs), self._numbers), np.float32)
        with self.held(theta, len(actions)), torch.no_grad():
            encoded = self.model.module.encoder(tensor(self._observations(obs)))
            for m, agent in enumerate(self.order):
                found = self.model.module.decoder(encoded[:, :m + 1], tensor(actions[:, :m + 1]))
                pi = self._distribution(theta, agent, found[:, m].numpy(), allowed)
                own[agent] = pi.mode() if uniforms is None else pi.sample(uniforms[agent])
                self._write(actions[:, m], agent, own[agent])
        return own, [None] * len(obs)

    def values(self, theta: np.ndarray, obs: list[np.ndarray]) -> np.ndarray:
        """V(o^i), (N, M), double."""
        with self.held(theta, len(obs[0])), torch.no_grad():
            encoder = self.model.module.encoder
            found = encoder.values(encoder(tensor(self._observations(obs))))[:, :, 0].numpy()
        return np.ascontiguousarray(found[:, self._turns].T, dtype=float)

    def shown(self, b: Transitions) -> Transitions:
        """The samples with what the model is shown of them, as `seen` and `joint`: for the methods that follow."""
        actions = np.zeros((len(b.obs[0]), len(b.obs), self._numbers), np.float32)
        for m, agent in enumerate(self.order):
            self._write(actions[:, m], agent, b.own[agent])
        return replace(b, seen=[self._observations(b.obs)], joint=[actions.reshape(len(actions), -1)])

    def distributions(self, theta: np.ndarray, b: Transitions, keep: bool = False) -> list[Distribution]:
        """What agents draw from, given what those before them did: (N) distributions of (M,) actions.

        Args:
            keep: of no use here, since every gradient comes with a pass of its own.
        """
        return self._distributions(theta, self._told(self.model.passes.forward(theta[:1], _seen(b))), b.allowed)

    def gradient(self, theta: np.ndarray, b: Transitions, weigh: Weigh, judge: Judge) -> np.ndarray:
        """sum_{i,e} sample_weight[i, e] (w[i, e] grad log pi^i + entropy grad H(pi^i) + v[i, e] grad V(o^i)), (1, d).

        Args:
            weigh: gives the weights w from log pi^i(a_e|...) at theta, as for `NeuralPolicy.gradient_by`.
            judge: gives v, what pulls at the values.
        """
        passes, weight = self.model.passes, b.sample_weight
        done = passes.forward(theta[:1], _seen(b), keep=True)
        told = self._told(done)
        drawn = self._distributions(theta, told, b.allowed)
        now = np.stack([pi.log_prob(own) for pi, own in zip(drawn, b.own, strict=True)])
        pulled = [weigh(slice(0, len(now)), now), np.full(now.shape, self.entropy),
                  judge(told[:, self._turns, -1].T.astype(float))]
        w, bonus, v = (each if weight is None else each * weight for each in pulled)
        pulls, deviations = np.zeros(told.shape, np.float32), np.zeros(self._joint.deviations)
        for agent, (pi, own) in enumerate(zip(drawn, b.own, strict=True)):
            pull, beside = pi.pull(own, w[agent, :, None], bonus[agent, :, None] if self.entropy else None)
            mine = pulls[:, self._turns[agent]]
            mine[:, :pull.shape[1]], mine[:, -1] = pull, v[agent]
            if beside is not None and self.deviations == "learned":
                deviations[self._joint.columns(agent, "deviations")] = beside.sum(axis=0)
        gradient = passes.backward(done, [pulls.reshape(len(pulls), -1)])
        gradient[0, self._log_stds] = deviations
        return gradient

    # --- what the model is shown, and tells ---

    @cached_property
    def _turns(self) -> list[int]:
        """(N) when each agent acts."""
        return np.argsort(self.order).tolist()

    @cached_property
    def _joint(self) -> ProductFamily:
        """Of all agents' actions side by side."""
        return distribution_of(ProductSpace(self.actions))

    @property
    def _numbers(self) -> int:
        """How many numbers an action is shown as."""
        return max(space.outputs for space in self.actions) + len(self.actions) * self.identity

    @property
    def _log_stds(self) -> slice:
        """Where the log standard deviations are in theta, all agents' in turn; nowhere if none has any."""
        return self.networks.tensors[0].places.get(LOG_STD, slice(0, 0))

    def _log_std(self, theta: np.ndarray, agent: int) -> np.ndarray | None:
        """Of an agent's action, (d_i,), double; None of discrete ones."""
        own = self._joint.columns(agent, "deviations")
        return theta[0, self._log_stds][own].astype(float) if own.start < own.stop else None

    def _observations(self, obs: list[np.ndarray]) -> np.ndarray:
        """(N) arrays (M, *shape_i) -> (M, N, W), in the order in which agents act."""
        N, widest = len(obs), max(map(prod, self.shapes))
        found = np.zeros((len(obs[0]), N, widest + N * self.identity), np.float32)
        for m, agent in enumerate(self.order):
            own = obs[agent].reshape(len(found), -1)
            found[:, m, :own.shape[1]] = own
            if self.identity:
                found[:, m, widest + agent] = 1.0
        return found

    def _write(self, token: np.ndarray, agent: int, actions: np.ndarray) -> None:
        """Actions of an agent, (M,) or (M, d_i), as the numbers (M, K) that later agents are shown."""
        token[:, :self.actions[agent].outputs] = self.actions[agent].encode(actions)
        if self.identity:
            token[:, self._numbers - len(self.actions) + agent] = 1.0

    def _told(self, done: Pass) -> np.ndarray:
        """(M, N, A + 1) of a pass, in the order in which agents act."""
        output, = done.outputs
        return output.reshape(len(output), len(self.actions), -1)

    def _distributions(self, theta: np.ndarray, told: np.ndarray, allowed: Allowed) -> list[Distribution]:
        return [self._distribution(theta, agent, told[:, m], allowed) for agent, m in enumerate(self._turns)]

    def _distribution(self, theta: np.ndarray, agent: int, outputs: np.ndarray, allowed: Allowed) -> Distribution:
        """What an agent draws from, given the model's outputs for it, (M, A or more)."""
        family = self._joint.families[agent]
        pi = family(outputs[:, :family.outputs].astype(float), self._log_std(theta, agent))
        return pi if allowed is None else pi.mask(allowed[agent])


def _seen(b: Transitions) -> Seen:
    return Seen(b.seen, b.joint)


def autoregressive_policy(network: Network, observations: Sequence[tuple[int, ...]], actions: Sequence[ActionSpace],
                          entropy: float = 0.0, log_std: float = -0.5,
                          deviations: Literal["learned", "fixed"] = "learned") -> AutoregressivePolicy:
    """The model of all N agents, who act in the order 0, 1, ... at first.

    Args:
        network: of the kind of `netac.agents.networks.transformer`.
        observations: (N) shapes of what agents see.

    Raises:
        InputError: it is too large.
    """
    N, joint = len(actions), distribution_of(ProductSpace(tuple(actions)))
    identity = isinstance(network, BuiltIn) and network.settings.identity
    widest, outputs = max(map(prod, observations)), max(space.outputs for space in actions)
    made = networks("policy", network, [(N, widest + N * identity)], [N * (outputs + 1)], ["all agents"],
                    joint=N * (outputs + N * identity), gain=0.01,
                    besides=[{LOG_STD: (joint.deviations,)} if joint.deviations else {}])
    return AutoregressivePolicy(SequenceModel(made), tuple(actions), tuple(observations), tuple(range(N)), entropy,
                                log_std, deviations, identity)
