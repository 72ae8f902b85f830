"""From the tables [policy], [critic] and [reward_model] to torch modules, tried out once before anything runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from netac.agents.networks._kernel import Kernel
from netac.agents.networks._torch import torch
from netac.utils import plugins
from netac.utils.errors import InputError, raised
from netac.utils.options import checked
from netac.utils.plugins import BuiltIn, Factory, built_in

Network = BuiltIn | Factory
Refusal = Callable[[str, str], InputError]      # of a problem and what would be valid

LARGEST = 50_000_000     # parameters of a network
SAMPLES = 3              # of a trial
STATEFUL = (torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd)


def read_network(table: dict[str, Any] | Network, key: str, others: Iterable[str] = ()) -> Network:
    """The network that a table { name, options } or { factory, kwargs, folder } stands for, its options complete.

    Args:
        key: "policy", "critic" or "reward_model", for messages.
        others: keys that may stand in the same table besides, for suggestions.

    Raises:
        InputError: there is no such network, or an option is wrong.
    """
    if isinstance(table, BuiltIn | Factory):
        return table
    if "factory" in table:
        return checked(Factory, table, key, others)
    return built_in(__package__, table, "network", key, ["name", "factory", "kwargs", *others])


def feed_forward(like: Network) -> Network:
    """A network without memory that resembles `like`: itself, where it has none."""
    if isinstance(like, Factory) or not hasattr(like.module, "feed_forward"):
        return like
    return read_network(like.module.feed_forward(like.settings), "critic")


def memory_size(module: torch.nn.Module) -> int:
    """H of a module with memory, which is its attribute `memory`; 0 of the others.

    With H > 0 it is `forward(observation (M, *shape), memory (M, H))` that gives (M, outputs) and the memory
    afterwards.
    """
    size = getattr(module, "memory", 0)
    return size if isinstance(size, int) else 0


def make_module(network: Network, observation: tuple[int, ...], outputs: int, *, key: str, seed: int = 0,
                joint: int = 0, gain: float = 1.0) -> torch.nn.Module:
    """The module of an agent, with initial values drawn from `seed`; torch's own random state stays as it is.

    Args:
        network: a user's class is called with `kwargs` and those of `observation` (a shape), `outputs` and `joint` that
            its signature names.
        observation, joint: shape of an observation, and size of the joint action the module takes besides; 0: none.
        outputs: numbers the module gives per sample.
        key: "policy", "critic" or "reward_model", for messages.
        gain: of a built-in network's last layer.

    Raises:
        InputError: the module cannot be made.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)           # the forked one alone; torch.manual_seed also asks for GPUs
        if isinstance(network, Factory):
            return _users(network, {"observation": observation, "outputs": outputs, "joint": joint}, key)
        try:
            return network.module.make(network.settings, observation, outputs, joint, gain)
        except InputError as error:
            raise error.located(key=key) from error.__cause__


def make_kernel(network: Network, observation: tuple[int, ...], outputs: int, *, joint: int = 0) -> Kernel | None:
    """What computes the passes of such a module without torch; None: nothing does, and the module is asked."""
    if isinstance(network, Factory) or not hasattr(network.module, "kernel"):
        return None
    return network.module.kernel(network.settings, observation, outputs, joint)


def refuse_large(network: Network, observation: tuple[int, ...], outputs: int, *, key: str, joint: int = 0) -> None:
    """Refuse a built-in network with more parameters than an agent may hold, before they are drawn."""
    if isinstance(network, Factory):
        return
    with torch.device("meta"):
        try:
            made = network.module.make(network.settings, observation, outputs, joint, 1.0)
        except InputError as error:
            raise error.located(key=key) from error.__cause__
    size = sum(parameter.numel() for parameter in made.parameters())
    if size > LARGEST:
        raise InputError(f"the network would have {size:,} parameters", key=key, valid=f"at most {LARGEST:,}")


def try_out(module: torch.nn.Module, network: Network, observation: tuple[int, ...], outputs: int, *, key: str,
            joint: int = 0) -> None:
    """Check that a module can serve as an agent, with a copy of it and samples of zeros and of numbers from [0, 1).

    Raises:
        InputError: it cannot; the message says how to mend it.
    """
    called, memory = network.called, memory_size(module)

    def refuse(problem: str, valid: str) -> InputError:
        return InputError(f"{called}: {problem}", key=key, valid=valid)

    _inspect(module, refuse)
    try:
        module = copy.deepcopy(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise refuse(f"the module cannot be copied, as netac does for every agent: {raised(error)}",
                     "tensors computed from parameters made in forward, not kept as attributes; weight_norm and "
                     "spectral_norm from torch.nn.utils.parametrizations, not from torch.nn.utils") from error
    draw = torch.Generator().manual_seed(0)
    shapes = (observation, *((size,) for size in (joint, memory) if size))
    taken = [torch.rand(SAMPLES, *shape, generator=draw) for shape in shapes]
    for each in taken:
        each[0] = 0.0
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        if not bool(torch.isfinite(_forward(module, taken, outputs, refuse)).all()):
            raise refuse("forward gives numbers that are not finite, for observations of zeros and of numbers from "
                         "[0, 1)", "finite outputs")
        for parameter in module.parameters():       # an output layer of zeros would hide what the layers before it do
            if not bool(parameter.any()):
                parameter.data = 0.1 * torch.rand(parameter.shape, generator=draw)
        _try_outputs(module, taken, outputs, buffers, refuse)


def _inspect(module: torch.nn.Module, refuse: Refusal) -> None:
    """Refuse what can be seen without a forward pass."""
    parameters = dict(module.named_parameters())
    if not parameters:
        raise refuse(f"the module {type(module).__name__} has no parameters",
                     "torch.nn.Parameter or layers as attributes of the module, set in __init__")
    for name, parameter in parameters.items():
        if isinstance(parameter, torch.nn.UninitializedParameter):
            raise refuse(f"{name} belongs to a lazy layer, which does not know its sizes yet",
                         "layers with their sizes given")
        if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
            raise refuse(f"{name} is {parameter.dtype} on {parameter.device}, but an agent's parameters are single "
                         "precision in one flat buffer", "module.float().cpu()")
    for name, layer in module.named_modules():
        if isinstance(layer, STATEFUL) and (getattr(layer, "track_running_stats", False) or getattr(layer, "p", 0) > 0):
            raise refuse(f"the layer {name!r}, {type(layer).__name__}, keeps state or draws random numbers outside the "
                         "agent's flat buffer, so that runs could neither be repeated nor resumed",
                         "LayerNorm or GroupNorm in place of BatchNorm; no Dropout")


def _forward(module: torch.nn.Module, taken: list[torch.Tensor], outputs: int, refuse: Refusal) -> torch.Tensor:
    """The module's output for a batch, (M, outputs); of one with memory with that beside it, (M, outputs + H)."""
    given, wanted = [each.clone() for each in taken], (len(taken[0]), outputs)
    shapes = " and ".join(str(tuple(each.shape)) for each in taken)
    try:
        output = module(*given)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise refuse(f"forward fails on a batch of {wanted[0]}: {raised(error)}",
                     f"a module that takes {shapes} and gives {wanted}, and so for any number of samples") from error
    if memory := memory_size(module):
        output, wanted = _beside(output, [wanted, (len(taken[0]), memory)], refuse), (len(taken[0]), outputs + memory)
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
    if shape != wanted:
        squeezed = isinstance(shape, tuple) and 1 in wanted and (
            [n for n in shape if n > 1] == [n for n in wanted if n > 1])
        raise refuse(f"forward gives {shape} for input {shapes}",
                     f"{wanted}" + (": leave out the squeeze" if squeezed else ""))
    if output.dtype != torch.float32 or not output.requires_grad:
        raise refuse(f"forward gives nothing that could be trained: {output.dtype}, requires_grad = "
                     f"{output.requires_grad}", "single precision, computed from the parameters and not detached")
    if not all(map(torch.equal, given, taken)):
        raise refuse("forward changes its input, which netac uses again", "operations that are not in place")
    return output


def _beside(found: object, wanted: list[tuple[int, int]], refuse: Refusal) -> torch.Tensor:
    """Outputs and memory, the two that a module with memory gives, side by side."""
    shapes: object = f"a {type(found).__name__}"
    if isinstance(found, tuple) and len(found) == 2 and all(isinstance(each, torch.Tensor) for each in found):
        shapes = [tuple(each.shape) for each in found]
        if shapes == wanted:
            return torch.cat(found, dim=1)
    raise refuse(f"the module has an attribute `memory`, but forward gives {shapes}",
                 f"the tuple (outputs, memory), of shapes {wanted[0]} and {wanted[1]}")


def _try_outputs(module: torch.nn.Module, taken: list[torch.Tensor], outputs: int, buffers: dict[str, torch.Tensor],
                 refuse: Refusal) -> None:
    """Refuse outputs that depend on more than a sample and the parameters, or not on all of the parameters."""
    output, again = (_forward(module, taken, outputs, refuse) for _ in range(2))
    after = dict(module.named_buffers())
    if not _alike(output, again, 0.0) or list(after) != list(buffers) or not all(map(torch.equal, after.values(),
                                                                                     buffers.values())):
        raise refuse("forward gives other numbers when called again with the same input, or changes a buffer: state or "
                     "randomness outside the agent's flat buffer, so that runs could neither be repeated nor resumed",
                     "a module whose output depends on its input and its parameters alone: no dropout, noise, counters")
    alone = torch.cat([_forward(module, [each[k:k + 1] for each in taken], outputs, refuse) for k in range(SAMPLES)])
    if not _alike(output, alone, 1e-4):
        raise refuse(f"forward gives other numbers for {SAMPLES} samples together than one by one, but the samples are "
                     "those of different games",
                     "a module that treats every sample by itself: nothing computed across dimension 0")
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    try:
        gradients = torch.autograd.grad(output.sum(), list(trained.values()), allow_unused=True)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise refuse(f"the backward pass fails: {raised(error)}",
                     "operations that torch can differentiate") from error
    idle = [name for name, gradient in zip(trained, gradients, strict=True) if gradient is None]
    if idle:
        raise refuse(f"the output does not depend on {', '.join(idle)}, which would never be trained",
                     "parameters that forward itself uses, not copies of them made in __init__; without those that "
                     "nothing uses, or with requires_grad_(False) for those that shall stay as they are")


def _alike(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    """Whether numbers are equal but for rounding, relative to themselves or to the largest of them / 10."""
    scale = float(one.detach().abs().nan_to_num().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=tolerance, atol=0.1 * tolerance * scale, equal_nan=True)


def _users(factory: Factory, given: dict[str, Any], key: str) -> torch.nn.Module:
    source = factory.factory
    made = plugins.import_path(factory, key)
    if given["joint"] and "joint" not in plugins.named(made):
        raise InputError("the class does not take `joint`, the size of the joint action a model of R(s, a) or Q(s, a) "
                         "sees", key=f"{key}.factory", found=source,
                         valid="def __init__(self, observation, outputs, joint), with forward(observation, joint)")
    module = plugins.call(made, factory, key, **given)
    if not isinstance(module, torch.nn.Module):
        raise InputError("what it gives is no torch.nn.Module", key=f"{key}.factory", found=type(module).__name__,
                         valid="a class derived from torch.nn.Module, or a function that gives one")
    return module
