"""The built-in topologies; each module is what a user's topology file is, `graph(t, n, *, options) -> networkx.Graph`.

Optional beside it: `period(n, *, options)` or PERIOD (graph(t) = graph(t mod period); 1 is static); WEIGHTS, the
weight rule where the experiment names none; and PARTS, the option whose value names other topologies, one or a list:
their relative paths are looked for where the experiment's own are, and graph and period are handed them loaded, as
`netac.topology.parts.Part`, if they have a keyword-only parameter `parts`.
"""
