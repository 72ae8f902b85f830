"""Weight rules: each module has one pure function `weights(graph, *, options) -> csr_array`, W_t of the graph at t."""
