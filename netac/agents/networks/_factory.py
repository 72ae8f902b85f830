"""From the tables [policy], [critic] and [reward_model] to torch modules, tried out once before anything runs."""

from __future__ import annotations

from typing import Any

from netac import plugins
from netac.agents.networks._torch import torch
from netac.errors import InputError
from netac.options import checked

NETWORKS = "netac.agents.networks"
LARGEST = 50_000_000     # parameters of a network
STATEFUL = (torch.nn.modules.batchnorm._NormBase, torch.nn.modules.dropout._DropoutNd)


def complete(spec: dict[str, Any], key: str) -> dict[str, Any]:
    """A network's table with all defaults filled in: { name, options } of a built-in one, or { factory, kwargs, folder }.

    Raises:
        InputError: there is no such network, or an option is wrong.
    """
    if "factory" in spec:
        return {"kwargs": {}, "folder": None, **spec}
    module = _built_in(spec["name"], key)
    return {"name": spec["name"], **checked(module.Settings, _options(spec), key, ["name", "factory", "kwargs"]).model_dump()}


def make_module(spec: dict[str, Any], observation: tuple[int, ...], outputs: int, *, key: str, seed: int = 0, joint: int = 0,
                gain: float = 1.0) -> torch.nn.Module:
    """The module of a table, with initial values drawn from `seed`; torch's own random state stays as it is.

    Args:
        spec: see `complete`; a user's class is called with `kwargs` and those of `observation` (a shape), `outputs` and
            `joint` that its signature names.
        observation, joint: shape of an observation, and size of the joint action the module takes besides; 0: none.
        outputs: numbers the module gives per sample.
        key: "policy", "critic" or "reward_model", for messages.
        gain: of a built-in network's last layer.

    Raises:
        InputError: the module cannot be made.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if "factory" in spec:
            return _users(spec, {"observation": observation, "outputs": outputs, "joint": joint}, key)
        module = _built_in(spec["name"], key)
        try:
            return module.make(checked(module.Settings, _options(spec)), observation, outputs, joint, gain)
        except InputError as error:
            raise error.located(key=key) from None


def refuse_large(spec: dict[str, Any], observation: tuple[int, ...], outputs: int, *, key: str, joint: int = 0) -> None:
    """Refuse a built-in network with more parameters than an agent may hold, before they are drawn."""
    if "factory" in spec:
        return
    module = _built_in(spec["name"], key)
    with torch.device("meta"):
        try:
            made = module.make(checked(module.Settings, _options(spec)), observation, outputs, joint, 1.0)
        except InputError as error:
            raise error.located(key=key) from None
    size = sum(parameter.numel() for parameter in made.parameters())
    if size > LARGEST:
        raise InputError(f"the network would have {size:,} parameters", key=key, valid=f"at most {LARGEST:,}")


def try_out(module: torch.nn.Module, spec: dict[str, Any], observation: tuple[int, ...], outputs: int, *, key: str,
            joint: int = 0) -> None:
    """Check that a module can serve as an agent, with a batch of two samples of zeros.

    Raises:
        InputError: it cannot; the message says how to mend it.
    """
    called = spec.get("factory") or spec["name"]

    def refuse(problem: str, valid: str) -> InputError:
        return InputError(f"{called}: {problem}", key=key, valid=valid)

    parameters = dict(module.named_parameters())
    if not parameters:
        raise refuse(f"the module {type(module).__name__} has no parameters",
                     "torch.nn.Parameter or layers as attributes of the module, set in __init__")
    for name, parameter in parameters.items():
        if isinstance(parameter, torch.nn.UninitializedParameter):
            raise refuse(f"{name} belongs to a lazy layer, which does not know its sizes yet", "layers with their sizes given")
        if parameter.dtype != torch.float32 or parameter.device.type != "cpu":
            raise refuse(f"{name} is {parameter.dtype} on {parameter.device}, but an agent's parameters are single precision "
                         "in one flat buffer", "module.float().cpu()")
    for name, layer in module.named_modules():
        if isinstance(layer, STATEFUL) and (getattr(layer, "track_running_stats", False) or getattr(layer, "p", 0) > 0):
            raise refuse(f"the layer {name!r}, {type(layer).__name__}, keeps state or draws random numbers outside the agent's "
                         "flat buffer, so that runs could neither be repeated nor resumed",
                         "LayerNorm or GroupNorm in place of BatchNorm; no Dropout")
    taken = [torch.zeros(2, *observation), *([torch.zeros(2, joint)] if joint else [])]
    shapes, wanted = " and ".join(str(tuple(each.shape)) for each in taken), (2, outputs)
    with torch.random.fork_rng(devices=[]):
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        try:
            output, again = module(*taken), module(*taken)
        except Exception as error:
            raise refuse(f"forward fails on a batch of two: {type(error).__name__}: {error}",
                         f"a module that takes {shapes} and gives {wanted}, and so for any number of samples") from error
    shape = tuple(output.shape) if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
    if shape != wanted:
        raise refuse(f"forward gives {shape} for input {shapes}",
                     f"{wanted}" + (": leave out the squeeze" if shape == (2,) and outputs == 1 else ""))
    if output.dtype != torch.float32 or not output.requires_grad:
        raise refuse(f"forward gives nothing that could be trained: {output.dtype}, requires_grad = {output.requires_grad}",
                     "single precision, computed from the parameters and not detached")
    if not bool(torch.isfinite(output).all()):
        raise refuse("forward gives numbers that are not finite for observations of zeros", "finite outputs")
    if not torch.equal(output, again) or any(not torch.equal(buffer, buffers[name]) for name, buffer in module.named_buffers()):
        raise refuse("forward gives other numbers when called again, or changes a buffer: state or randomness outside the "
                     "agent's flat buffer", "a module whose output depends on its input and its parameters alone")


def _built_in(name: str, key: str):
    try:
        return plugins.module(NETWORKS, name, "network")
    except InputError as error:
        raise error.located(key=f"{key}.name") from None


def _options(spec: dict[str, Any]) -> dict[str, Any]:
    return {option: value for option, value in spec.items() if option != "name"}


def _users(spec: dict[str, Any], given: dict[str, Any], key: str) -> torch.nn.Module:
    source = spec["factory"]
    made = plugins.import_path(spec, key)
    if given["joint"] and "joint" not in plugins.named(made):
        raise InputError("the class does not take `joint`, the size of the joint action a model of R(s, a) or Q(s, a) sees",
                         key=f"{key}.factory", found=source,
                         valid="def __init__(self, observation, outputs, joint), with forward(observation, joint)")
    module = plugins.call(made, spec, key, **given)
    if not isinstance(module, torch.nn.Module):
        raise InputError("what it gives is no torch.nn.Module", key=f"{key}.factory", found=type(module).__name__,
                         valid="a class derived from torch.nn.Module, or a function that gives one")
    return module
