"""Policies that are networks, for all agents of a process; methods as those of the linear ones.

Parameters are rows (n, d), single precision: the shared tensors, the personal ones, and zeros where another agent has
more.  Numbers that come back are double but for gradients, (n, d) single precision, in memory that the next gradient of
the same object overwrites.  Samples an agent took no part in have weight 0, and the others a weight
(`sample_weight`) such that dividing a gradient by M gives the mean over them.

Policies with memory are asked about sequences: `b.sequences` says how the samples follow each other, and they are
unrolled over its chunks, from the memory that the agents had when the samples were drawn.

A call keeps its forward pass, and `gradient` uses it once if it is given the same arrays; between the two neither the
parameters nor the observations may change their values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Self, cast

import numpy as np

from netac.agents.distributions import Distribution, DistributionFamily, OwnAction, distribution_of
from netac.agents.networks._factory import Network
from netac.agents.neural.networks import Initial, Networks, networks
from netac.agents.neural.passes import Pass, Seen
from netac.agents.neural.tensors import Tensors, describe
from netac.agents.transitions import Transitions
from netac.utils.errors import InputError
from netac.utils.spaces import ActionSpace

LOG_STD = "log_std"
Weigh = Callable[[slice, np.ndarray], np.ndarray]      # rows of agents, their log pi (g, M) -> weights (g, M)
Groups = list[tuple[DistributionFamily, list[int]]]
Allowed = list[np.ndarray] | None      # (n) arrays (M, outputs_i) bool, which actions agents may take; None: all


@dataclass(frozen=True)
class PolicyNetworks:
    """The modules of some of N agents, and their action spaces.

    Attributes:
        networks: the modules.
        actions: (N) action spaces.
    """

    networks: Networks
    actions: tuple[ActionSpace, ...]

    @property
    def size(self) -> int:
        """d."""
        return self.networks.size

    @property
    def shared(self) -> int:
        """How many coordinates of theta are shared; they come first."""
        return self.networks.shared

    def held(self, theta: np.ndarray, samples: int) -> AbstractContextManager[None]:
        """Within it theta (n, d) stays as it is, which makes `act` faster for so many samples."""
        return self.networks.passes.held(theta, samples)

    @property
    def memory(self) -> int:
        """H, how many numbers an agent remembers in a game; 0: none."""
        return self.networks.memory

    def of(self, agents: range) -> Self:
        """The policies of some of the agents."""
        return replace(self, networks=replace(self.networks, agents=agents))

    def describe(self) -> str:
        """Which tensors are shared and which personal, with shapes and counts."""
        return describe("policy", self.networks.tensors)

    def initial(self, seed: int, agents: range) -> np.ndarray:
        """Initial theta of `agents`, (n, d) single precision."""
        return self.networks.rows(seed, agents)

    def family(self, agent: int) -> DistributionFamily:
        """The distributions that an agent's outputs are of."""
        return distribution_of(self.actions[agent])

    @cached_property
    def _listed(self) -> list[bool]:
        """For each agent, by its row, whether the probabilities of all its actions are asked for."""
        return [distribution_of(self.actions[agent]).enumerated for agent in self.networks.agents]

    @cached_property
    def _groups(self) -> Groups:
        """Agents, by their rows, whose outputs are of distributions of one family."""
        return grouped(map(self.family, self.networks.agents))


def grouped(families: Iterable[DistributionFamily]) -> Groups:
    """Agents, by their rows, that have the same one of `families` (n)."""
    groups: dict[DistributionFamily, list[int]] = {}
    for row, family in enumerate(families):
        groups.setdefault(family, []).append(row)
    return list(groups.items())


def stacked(outputs: list[np.ndarray], rows: list[int]) -> np.ndarray:
    """The outputs of a group of agents side by side, (g, M, outputs), double.

    In memory samples come after each other, since NumPy is slow at sums over an innermost axis of few numbers.
    """
    samples, size = outputs[rows[0]].shape
    stacked = np.empty((len(rows), size, samples)).swapaxes(1, 2)
    for one, row in zip(stacked, rows, strict=True):
        one[:] = outputs[row]
    return stacked


def dealt(groups: Iterable[tuple[list[int], Sequence[Any] | np.ndarray | None]], agents: int) -> list:
    """The groups' stacked results in the order of the agents: (n); None where a group has none."""
    found: list = [None] * agents
    for rows, each in groups:
        for k, row in enumerate(rows):
            found[row] = None if each is None else each[k]
    return found


def masked(pi: Distribution, allowed: Allowed, rows: list[int]) -> Distribution:
    """`pi` of a group of agents, given that each does what it is allowed to do."""
    return pi if allowed is None else pi.mask(np.stack([allowed[row] for row in rows]))


@dataclass(frozen=True)
class NeuralPolicy(PolicyNetworks):
    """pi_i(a|o; theta_i), a distribution whose parameters are the module's outputs.

    Log standard deviations of vectors are a tensor `log_std` beside the module's own.

    Attributes:
        entropy: coefficient of the entropy bonus.
        log_std: its initial value.
        deviations: whether it is learned, or its gradient is 0.
    """

    entropy: float = 0.0
    log_std: float = -0.5
    deviations: Literal["learned", "fixed"] = "learned"

    def initial(self, seed: int, agents: range) -> np.ndarray:
        """Initial theta of `agents`, (n, d) single precision."""
        rows = super().initial(seed, agents)
        for row, agent in zip(rows, agents, strict=True):
            if self.family(agent).deviations:
                row[self.networks.tensors[agent].places[LOG_STD]] = self.log_std
        return rows

    def act(self, theta: np.ndarray, obs: list[np.ndarray], uniforms: np.ndarray | None, keep: bool = True,
            memory: np.ndarray | None = None,
            allowed: Allowed = None) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Draw actions by inversion.

        Args:
            theta: (n, d).
            obs: (n) arrays (M, *shape_i).
            uniforms: (n, M, D) in [0, 1), D the largest size of an action; None: the most probable actions, and the
                means of vectors, in place of a draw.
            keep: whether a gradient for these observations will be asked for.
            memory: (n, M, H) what policies with memory remember, changed in place.
            allowed: which actions agents may take.

        Returns:
            (n) actions, (M,) whole numbers or (M, d_i) doubles, and, with `keep`, (n) probabilities (M, A_i) of all
            actions, None for vectors and for several choices with too many.
        """
        done = self.networks.passes.forward(theta, Seen(obs, memory=memory), keep=keep and memory is None)
        drawn, chances = [], []
        for rows, pi in self._acting(theta, done, allowed):
            drawn.append((rows, pi.mode() if uniforms is None else pi.sample(
                uniforms if len(rows) == len(obs) else uniforms[rows])))
            listed = keep and self._listed[rows[0]]
            chances.append((rows, cast("OwnAction", pi).own_weights(0) if listed else None))
        return dealt(drawn, len(obs)), dealt(chances, len(obs))

    def _acting(self, theta: np.ndarray, done: Pass, allowed: Allowed) -> list[tuple[list[int], Distribution]]:
        """Of each group of agents: their rows, and what they draw (g, M) own actions from."""
        return self._distributions(theta, done, allowed)

    def log_prob(self, theta: np.ndarray, b: Transitions, keep: bool = True) -> np.ndarray:
        """log pi_i(a_e|o_e), or the logarithm of its density, (n, M), double.

        Args:
            keep: whether a gradient for these observations will be asked for.
        """
        found = np.empty((len(b.obs), len(b.own[0])))
        done = self.networks.passes.forward(theta, self._seen(b), keep=keep)
        for rows, pi in self._distributions(theta, done, b.allowed):
            found[rows] = pi.log_prob(np.stack([b.own[row] for row in rows]))
        return found

    def distributions(self, theta: np.ndarray, b: Transitions, keep: bool = False) -> list[Distribution]:
        """What agents draw from in every sample, (n) distributions of (M,) actions.

        Args:
            keep: whether a gradient for these observations will be asked for.
        """
        found: list = [None] * len(b.obs)
        done = self.networks.passes.forward(theta, self._seen(b), keep)
        for family, rows in self._groups:
            values, log_std = stacked(done.outputs, rows), self._log_std(theta, family, rows)
            for k, row in enumerate(rows):
                pi = family(values[k], None if log_std is None else log_std[k])
                found[row] = pi if b.allowed is None else pi.mask(b.allowed[row])
        return found

    def gradient(self, theta: np.ndarray, b: Transitions, weights: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] (weights[i, e] grad log pi_i(a_e|o_e) + entropy grad H(pi_i(.|o_e))), (n, d)."""
        done = self.networks.passes.again(theta, self._seen(b))
        return self._pulled(theta, b, done, weights, b.sample_weight)

    def gradient_by(self, theta: np.ndarray, b: Transitions, weigh: Weigh, joint: bool = False) -> np.ndarray:
        """`gradient` with weights that depend on log pi_i(a_e|o_e) at theta, computed for some agents after the others.

        Args:
            joint: whether weights depend on other agents' log pi, too: then `weigh` is called once, for all n.
        """
        passes, seen, sample_weight = self.networks.passes, self._seen(b), b.sample_weight
        for done in [passes.again(theta, seen)] if joint else passes.each(theta, seen):
            now = np.empty((len(done.outputs), len(b.own[0])))
            for rows, pi in self._distributions(theta, done, b.allowed):
                now[self._among(done, rows)] = pi.log_prob(np.stack([b.own[row] for row in rows]))
            weights = weigh(done.rows, now)
            self._pulled(theta, b, done, weights, None if sample_weight is None else sample_weight[done.rows])
        return passes.gradient

    def _pulled(self, theta: np.ndarray, b: Transitions, done: Pass, weights: np.ndarray,
                sample_weight: np.ndarray | None) -> np.ndarray:
        """`gradient`, in its rows of the agents of `done`, given their weights (g, M)."""
        bonus, pulls = None, []
        if self.entropy:
            bonus = self.entropy * (np.ones_like(weights) if sample_weight is None else sample_weight)
        weights = weights if sample_weight is None else weights * sample_weight
        for rows, pi in self._distributions(theta, done, b.allowed):
            own, here = np.stack([b.own[row] for row in rows]), self._among(done, rows)
            pulls.append((rows, *pi.pull(own, weights[here, :, None], None if bonus is None else bonus[here, :, None])))
        return self._backward(done, pulls)

    def score_products(self, theta: np.ndarray, b: Transitions, h: np.ndarray) -> np.ndarray:
        """grad log pi_i(a_e|o_e)'h_i for every sample e, times active, (n, M)."""
        passes, seen = self.networks.passes, self._seen(b)
        moved = passes.tangents(theta, seen, h)
        products = np.empty((len(moved), len(moved[0])))
        for rows, pi in self._distributions(theta, passes.again(theta, seen, last=False), b.allowed):
            score, beside = pi.score(np.stack([b.own[row] for row in rows]))
            products[rows] = np.vecdot(score, np.stack([moved[row] for row in rows]))
            if beside is not None:
                products[rows] += np.vecdot(beside, self._deviations(h, rows))
        return products if b.active is None else products * b.active

    def fisher_product(self, theta: np.ndarray, b: Transitions, v: np.ndarray) -> np.ndarray:
        """sum_e sample_weight[i, e] H_e v_i, (n, d), H_e the Hessian of KL(pi_i(.|o_e) || .) at theta_i."""
        passes, seen, pulls = self.networks.passes, self._seen(b), []
        moved = passes.tangents(theta, seen, v)
        done = passes.again(theta, seen)
        sample_weight = np.ones((len(moved), len(moved[0]))) if b.sample_weight is None else b.sample_weight
        for (family, _), (rows, pi) in zip(self._groups, self._distributions(theta, done, b.allowed), strict=True):
            weight = sample_weight[rows, :, None]
            bent, beside = pi.fisher(np.stack([moved[row] for row in rows]), self._log_std(v, family, rows))
            pulls.append((rows, weight * bent, None if beside is None else weight.sum(axis=1, keepdims=True) * beside))
        return self._backward(done, pulls)

    def _distributions(self, theta: np.ndarray, done: Pass, allowed: Allowed) -> list[tuple[list[int], Distribution]]:
        """Of each group of agents of the pass: their rows, and what they draw (g, M) actions from."""
        if "distributions" not in done.known or done.known["allowed"] is not allowed:
            of_pass = range(done.rows.start, done.rows.stop)
            groups = ((family, [row for row in rows if row in of_pass]) for family, rows in self._groups)
            done.known["allowed"] = allowed
            done.known["distributions"] = [
                (rows, masked(family(stacked(done.outputs, self._among(done, rows)),
                                     self._log_std(theta, family, rows)), allowed, rows))
                for family, rows in groups if rows]
        return done.known["distributions"]

    @staticmethod
    def _among(done: Pass, rows: list[int]) -> list[int]:
        """Where the agents with these rows are among those of the pass."""
        return [row - done.first for row in rows] if done.first else rows

    def _backward(self, done: Pass,
                  pulls: list[tuple[list[int], np.ndarray, np.ndarray | None]]) -> np.ndarray:
        """The gradient (n, d) of what pulls at the outputs of groups of agents, and at log_std beside, (g, M, ...)."""
        gradient = self.networks.passes.backward(done, dealt(
            ((self._among(done, rows), pull) for rows, pull, _ in pulls), len(done.outputs)))
        for rows, _, beside in pulls:
            if beside is not None:
                for row, each in zip(rows, beside, strict=True):
                    gradient[row, self._tensors(row).places[LOG_STD]] = (
                        each.sum(axis=0) if self.deviations == "learned" else 0.0)
        return gradient

    def _seen(self, b: Transitions) -> Seen:
        return Seen(b.obs, sequences=b.sequences if self.memory else None)

    def _tensors(self, row: int) -> Tensors:
        return self.networks.tensors[self.networks.agents[row]]

    def _log_std(self, numbers: np.ndarray, family: DistributionFamily, rows: list[int]) -> np.ndarray | None:
        """The entries of log_std in some rows of theta or of a direction: (g, 1, d_i), double; None without any."""
        return self._deviations(numbers, rows) if family.deviations else None

    def _deviations(self, numbers: np.ndarray, rows: list[int]) -> np.ndarray:
        return np.stack([numbers[row, self._tensors(row).places[LOG_STD]] for row in rows]).astype(float)[:, None, :]


def neural_policy(spec: dict[str, Any] | Network, observations: Sequence[tuple[int, ...]],
                  actions: Sequence[ActionSpace], names: Sequence[str], shared: Sequence[str] = (),
                  initial: Initial = "common", entropy: float = 0.0, log_std: float = -0.5,
                  deviations: Literal["learned", "fixed"] = "learned", recurrent: bool = False) -> NeuralPolicy:
    """The policies of all N agents; arguments and errors as those of `networks`.

    Args:
        recurrent: whether they may have a memory, which needs an algorithm that learns from sequences.
    """
    made = policy_networks(spec, observations, list(map(distribution_of, actions)), names, shared, initial, recurrent)
    return NeuralPolicy(made, tuple(actions), entropy, log_std, deviations)


def policy_networks(spec: dict[str, Any] | Network, observations: Sequence[tuple[int, ...]],
                    families: Sequence[DistributionFamily], names: Sequence[str], shared: Sequence[str],
                    initial: Initial, recurrent: bool) -> Networks:
    """The networks of policies whose outputs are of distributions of `families` (N); see `neural_policy`."""
    made = networks("policy", spec, observations, [family.outputs for family in families], names, gain=0.01,
                    shared=shared, initial=initial,
                    besides=[{LOG_STD: (family.deviations,)} if family.deviations else {} for family in families])
    if not recurrent:
        refuse_memory(made)
    return made


def refuse_memory(made: Networks) -> None:
    """Refuse policies with memory, where the algorithm does not learn from sequences.

    Raises:
        InputError: they have one.
    """
    if made.memory:
        raise InputError("a policy with memory is for trainers that learn from sequences",
                         key=f"policy.{made.network.said_by}", found=made.network.called,
                         valid='"mlp", "cnn", or a trainer: algorithm.name = "happo", "mappo", ...')
