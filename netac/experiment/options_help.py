"""Every option of an experiment file in words, for `netac run --help`."""

from __future__ import annotations

from collections.abc import Iterator

from netac import topology
from netac.experiment import network_table, schema
from netac.utils import plugins
from netac.utils.errors import InputError
from netac.utils.options import document

Section = tuple[str, list[tuple[str, str]]]      # its title, and the name and the description of each option


def sections() -> Iterator[Section]:
    """All options, table by table."""
    yield "Keys of an experiment file (defaults in brackets):", document(schema.Experiment)
    yield "[policy] of linear agents", document(schema.Policy)
    yield from _networks()
    yield "[normalise], for networks", document(schema.Normalise)
    yield from _conditions()
    for package, what in ((schema.ENVIRONMENTS, "env"), (schema.ALGORITHMS, "algorithm")):
        for name in plugins.module_names(package):
            module = plugins.module(package, name, what)
            yield f'{what} = {{ name = "{name}" }}: {plugins.first_line(module)}', document(module.Settings)
    yield ('topology = { name = "...", weights = "...", options }',
           [(name, f"{topology.describe(name)} {_options(topology.options(name))}") for name in topology.names()])
    yield ("weights of a topology, with their options",
           [(name, f"{topology.describe_weights(name)} {_options(topology.weight_options(name))}")
            for name in topology.weight_names()])


def _networks() -> Iterator[Section]:
    names = plugins.module_names(schema.NETWORKS)
    try:
        networks = {name: plugins.module(schema.NETWORKS, name, "network") for name in names}
    except InputError as error:               # no PyTorch
        yield f"[policy], [critic], [reward_model] of networks: {error}", []
        return
    yield ('[policy] of networks: name = "mlp" or "cnn" and its options, or factory and kwargs; besides',
           document(schema.NetworkPolicy))
    yield "[critic] and [reward_model], of networks: as [policy], but besides", document(schema.NetworkCritic)
    for name, module in networks.items():
        yield (f'name = "{name}" in [policy], [critic], [reward_model]: {plugins.first_line(module)}',
               document(module.Settings))
    yield ("{ factory, kwargs } in place of a name, for a network or an environment (check: that alone)",
           document(schema.UserEnvironment))


def _conditions() -> Iterator[Section]:
    modules = {name: plugins.module(network_table.CONDITIONS, name, "condition")
               for name in plugins.module_names(network_table.CONDITIONS)}
    yield ("[network], conditions of the network: a table of options, or a value of the first one; true, false",
           [*((name, plugins.first_line(module)) for name, module in modules.items()),
            ("(your name)", "{ factory, kwargs }: a condition of your own"),
            (network_table.INSECURE, "true: more liars may be than the graph and the way of mixing bear [false]")])
    for name, module in modules.items():
        yield f"network.{name}", document(module.Settings)


def _options(defaults: dict[str, object]) -> str:
    return "" if not defaults else f"[{', '.join(f'{name} = {value!r}' for name, value in defaults.items())}]"
