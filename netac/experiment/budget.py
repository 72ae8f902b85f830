"""How much memory an experiment takes, told from its settings before anything large is made.

The parts are those of all its processes on this host together, at the end, when they are largest: what every process
has for itself, what is shared out among them, and what process 0 alone collects.  Formulas count the arrays that the
modules named at each hold at a time; tests hold them against the memory that runs take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from netac.comm.exchange import Condition
from netac.experiment.schema import Experiment
from netac.topology.size import Extent
from netac.utils import memory
from netac.utils.errors import InputError
from netac.utils.plugins import BuiltIn
from netac.utils.progress import note

Sizes = dict[str, int]      # bytes by what they are for
NUMBER = 8
PROGRAM, WITH_TORCH = 80 << 20, 350 << 20           # a process before it has done anything
STREAM = 1024, 2**16        # of `netac.utils.streams`: rows of a block at most, and its numbers where it has several
MODULE = 6000               # a small torch module without its numbers, and for each of its tensors:
TENSOR = 2500
ON_THE_WAY = 3.0, 3.0       # messages of an agent and of a link in an exchange with conditions
LEAST = 16                  # bytes of an agent in a game, whatever the game is
USUAL = {"agents": 100, "envs": 8, "batch": 5, "rollout": 200, "buffer": 100_000, "evaluate_episodes": 32}


@dataclass(frozen=True)
class Share:
    """Which part of a launch is on this host.

    Attributes:
        processes: of the launch.
        here: of them on this host.
    """

    processes: int = 1
    here: int = 1

    @classmethod
    def of(cls, processes: int) -> Share:
        """This host's share of a launch."""
        return cls(processes, memory.on_this_host(processes))

    def dealt(self, size: float) -> int:
        """What of it is here, if it is shared out among all processes."""
        return int(size * self.here / self.processes)


def refuse_games(agents: int, games: int) -> None:
    """Refuse games of which even a few numbers an agent would not fit, before one is made.

    Raises:
        InputError: its key is "agents" or "envs".
    """
    what = f"{agents:,} agents in {games:,} games"
    if games > agents:
        memory.refuse_number(what, "envs", games, lambda e: LEAST * agents * e)
    memory.refuse_number(what, "agents", agents, lambda n: LEAST * n * games)


def fits(games: Any) -> bool:
    """Whether the arrays of games would fit into memory; games that do not are refused with their agents."""
    return not memory.room().lacks(games_nbytes(games, games.games))


def weigh(experiment: Experiment, environment: Any, model: Any, share: Share,
          extent: Extent) -> Sizes:
    """Bytes that a run takes on this host.

    Args:
        experiment: its settings.
        environment: made; of games the probe.
        model: what its agents are made of.
        extent: of the topology's graphs.
    """
    N, here = experiment.agents, share.here
    sizes = {"the program": here * (WITH_TORCH if model.plays_games else PROGRAM),
             "the topology": 0 if model.has_trainer else here * extent.nbytes(N)}
    sizes |= _playing(experiment, model, share) if model.plays_games else _linear(environment, model, share, N)
    return sizes


def _linear(environment: Any, model: Any, share: Share, N: int) -> Sizes:
    """`agents.parameters`, `agents.optimizers`, `sampling.tabular`, `utils.streams`."""
    layout, settings, here = model.layout, model.settings, share.here
    S, A = environment.states, environment.actions
    held = layout.omega + layout.lam + layout.theta
    moments = 3 * held if settings.optimizer == "adam" else 0
    feeds = 2 if settings.sampling in ("double", "iid") else 1
    M, n = batch_of(settings), -(-N // share.processes)
    kept = max(min(STREAM[0], STREAM[1] // n), M, 1)
    blocks = 1 + bool(environment.reward_noise) + bool(getattr(settings, "reward_noise", 0))
    features = model.needs.features
    table = S * M * NUMBER * (S + 2 * N + 4) if 1 < S <= 64 and M > 1 else 0
    psi = environment.psi.size * (features.psi + features.psi_next + 1) if features.psi else 0
    return {
        "the agents' parameters": share.dealt(NUMBER * N * (6 * layout.total + moments)) + NUMBER * N * layout.total,
        "random streams": share.dealt(N * feeds * blocks * 3 * NUMBER * kept),
        "the samples of an iteration": share.dealt(NUMBER * N * M * (3 * A + 8)) + here * (
            NUMBER * M * (N + 3 * environment.phi.shape[1] + psi) + table),
        "features of the agents' other actions":
            share.dealt(2 * NUMBER * N * M * A * environment.psi.size) if features.psi_own else 0}


def batch_of(settings: Any) -> int:
    """Samples that are drawn at a time."""
    batch = getattr(settings, "batch", 1)
    rounds = settings.critic_rounds if getattr(settings, "sampling", "") in ("double", "iid") and hasattr(
        settings, "critic_rounds") else 1
    return max(batch, (getattr(settings, "critic_batch", None) or batch) * rounds)


def _playing(experiment: Experiment, model: Any, share: Share) -> Sizes:
    """`agents.neural`, `sampling.game`, and what trainers collect."""
    games, settings, here = model.ground.probe, model.settings, share.here
    if model.acts_centrally:
        share = Share()             # all of it is in process 0
    N, E = experiment.agents, experiment.envs
    seen, acts = sum(map(prod, games.observations)), sum(space.outputs for space in games.actions)
    state = prod(games.state_shape or (seen,))
    stepping = here if model.ground.replicated and not model.has_trainer else 1
    feeds = 2 if getattr(settings, "sampling", "") == "double" else 1
    replay = hasattr(settings, "buffer")
    rolls = hasattr(settings, "epochs")
    chunk = getattr(settings, "chunk", 1) if replay else 1
    M = settings.batch * chunk if replay else E * settings.rollout if rolls else E * batch_of(settings)
    layout, adam = model.layout, 3 if settings.optimizer == "adam" else 0
    others = (getattr(model, name, None) for name in ("reward_model", "costs"))
    networks = [part for part in (model.policy, model.value, *others) if part is not None]
    sizes = {
        "the games": stepping * (feeds + bool(experiment.evaluate_every)) * games_nbytes(games, E),
        "the agents' parameters": share.dealt(4 * N * layout.total * (3 + adam)) + 4 * N * layout.total * 2,
        "what the agents see": share.dealt(4 * E * seen * 6 * feeds) + here * NUMBER * E * N * 8,
        "random streams": share.dealt(N * feeds * 3 * NUMBER * max(STREAM[0], E))}
    for part in networks:
        whole = part.networks
        count = len(whole.inputs)
        sizes["the agents' networks"] = sizes.get("the agents' networks", 0) + share.dealt(
            count * (MODULE + TENSOR * len(whole.tensors[0].shapes) + 4 * whole.size * 3))
        sizes["a pass through the networks"] = max(sizes.get("a pass through the networks", 0), share.dealt(
            count * M * 4 * (3 * _activations(whole) + whole.joint)))
    if replay:
        from netac.sampling.replay import nbytes as sample
        sizes["the replay (algorithm.buffer)"] = share.dealt(
            settings.buffer * sample(games, model.policy.memory / chunk))
    elif rolls:
        sizes["the rollouts"] = share.dealt(4 * M * seen + NUMBER * M * N * 12) + M * (4 * state + NUMBER * N * 6)
    if getattr(model.needs, "joint", False):
        told = sum(space.size for space in games.actions)
        sizes["joint actions, as policies find them"] = here * NUMBER * M * told + share.dealt(
            NUMBER * N * M * (told + 4 * acts))
    if not model.has_trainer and model.needs.features.psi_own:
        sizes["the agents' other actions"] = share.dealt(4 * M * sum(space.count for space in games.actions) * acts * 3)
    return sizes


def games_nbytes(games: Any, number: int) -> int:
    """What `number` games take: as they tell, else twice what is seen of them."""
    told = getattr(games, "nbytes", None)
    if isinstance(told, int):
        return told * number // games.games
    return 8 * number * sum(map(prod, games.observations))


def _activations(networks: Any) -> int:
    """Numbers that a pass through the first agent's network keeps of a sample, for its gradient."""
    import numpy as np

    from netac.agents.networks._torch import torch
    counted: dict[int, int] = {}

    def count(tensor: Any) -> Any:
        counted[tensor.data_ptr()] = tensor.numel()
        return tensor

    kept = []
    module = networks.make(0, 0)
    for samples in (1, 3):
        counted.clear()
        more = networks.joint or networks.memory
        inputs = [torch.from_numpy(np.zeros((samples, *shape), np.float32))
                  for shape in (networks.inputs[0], *([(more,)] if more else []))]
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            outputs = module(*inputs)
        kept.append(sum(counted.values()))
        del outputs
    return max((kept[1] - kept[0]) // 2, prod(networks.inputs[0]))


def with_conditions(setting: Any, conditions: Sequence[Condition], processes: int) -> Sizes:
    """What an experiment takes, with what the network's conditions keep: `comm.exchange`, `comm.link_rows`.

    Raises:
        InputError: it is more than there could be; its key is that of the condition that keeps most.
    """
    N, share, layout = setting.experiment.agents, Share.of(processes), setting.layout
    links, message = setting.topology.matrix(0).nnz - N, layout.total * np.dtype(layout.dtype).itemsize

    def kept(of_agents: float, of_links: float) -> int:
        return share.dealt(message * (of_agents * N + of_links * links))

    sizes = {condition.name: kept(*condition.keeps) for condition in conditions}
    found = setting.sizes | {"messages on the way": kept(*ON_THE_WAY),
                             "what the network's conditions keep": sum(sizes.values())}
    if memory.room().lacks(sum(found.values()), share.here):
        name = max(sizes, key=lambda each: sizes[each])
        memory.refuse(found, f"network.{name}", setting.experiment.network.table()[name], None, share.here,
                      "a topology with fewer edges, smaller networks, or none of it")
    return found


def refuse(experiment: Experiment, share: Share, again: Callable[[Experiment, Share], Sizes]) -> Sizes:
    """What an experiment takes; refused where that is more than there could be.

    Args:
        again: what an experiment takes, this one or one with other numbers.

    Raises:
        InputError: its key is the number that is furthest from what is usual, and it says up to where it would do.
    """
    there, sizes = memory.room(), again(experiment, share)
    if not there.lacks(sum(sizes.values()), share.here):
        return sizes

    def fits(other: Experiment, share: Share = share) -> bool:
        return not there.lacks(sum(again(other, share).values()), share.here)

    if share.here > 1 and fits(experiment, Share()):
        memory.refuse(sizes, "processes", share.here, lambda: memory.largest(
            lambda p: fits(experiment, Share(max(p, share.processes * p // share.here), p)), share.here), share.here)
    key, value = min(_numbers(experiment), key=lambda pair: USUAL.get(pair[0].rpartition(".")[2], 1) / pair[1])

    def may(number: int, unknown: bool = True) -> bool:
        try:
            return fits(with_number(experiment, key, number))
        except InputError:           # there is no such experiment, for another reason
            return unknown

    def most() -> int | None:
        found = memory.largest(may, value)
        return found if found and may(found, False) else None

    asked = isinstance(experiment.env, BuiltIn) or key != "agents"     # a user's function is not called to try it out
    largest = max(sizes, key=lambda part: sizes[part])
    memory.refuse(sizes, key, value, most if asked else None, share.here,
                  "a sparse topology such as ring" if largest == "the topology" else "")
    return sizes


def refuse_played(environment: Any, endless: bool, episodes: int, steps: int, keys: tuple[str, str]) -> None:
    """Refuse episodes whose rewards and actions would not fit, as far as it is known how long they are.

    Args:
        environment: what is played: one of finitely many states, or games.
        endless: whether episodes are cut after `steps`; else they may end sooner, and only their number is known.
        episodes, steps: of them all, and of each.
        keys: what `episodes` and `steps` are called.

    Raises:
        InputError: one of the keys would have to be smaller.
    """
    N, S = environment.agents, getattr(environment, "states", 0)
    at_once = NUMBER * (N * (3 * environment.actions + 8) + (S * (S + 2 * N + 4) if 1 < S <= 64 else 0)) + (
        1500 * (S > 64)) if S else 0

    def size(episodes: int, steps: int) -> int:
        length = steps if endless else 1
        return episodes * (length * 3 * NUMBER * (N + 1) + 200) + at_once * length

    if endless and steps > episodes:
        memory.refuse_number("what is played", keys[1], steps, lambda n: size(episodes, n))
    memory.refuse_number("what is played", keys[0], episodes, lambda n: size(n, steps))


def warn(sizes: Sizes) -> None:
    """A note where a run takes more than is free just now."""
    there, total = memory.room(), sum(sizes.values())
    if total > there.free:
        note(f"the run may take {memory.in_words(total)} of memory, and of {there.in_words()} just now "
             f"{memory.in_words(there.free)} are free")


def _numbers(experiment: Experiment) -> Iterable[tuple[str, int]]:
    """The keys that sizes depend on, with their values."""
    settings = experiment.algorithm.settings
    yield "agents", experiment.agents
    yield "envs", experiment.envs
    for name in ("batch", "critic_batch", "rollout", "buffer"):
        value = getattr(settings, name, None)
        if value is not None:
            yield f"algorithm.{name}", value


def with_number(experiment: Experiment, key: str, value: int) -> Experiment:
    """The experiment with another number at one of these keys."""
    table, _, name = key.rpartition(".")
    if not table:
        return experiment.model_copy(update={name: value})
    from dataclasses import replace
    changed = {name: value}
    settings = experiment.algorithm.settings
    if name == "batch" and getattr(settings, "critic_batch", None) == settings.batch:
        changed["critic_batch"] = value
    algorithm = replace(experiment.algorithm, settings=settings.model_copy(update=changed))
    return experiment.model_copy(update={"algorithm": algorithm})
