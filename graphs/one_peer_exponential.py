"""Directed edges with weights of their own: at t each agent sends to the one 2^k further on, k = 0, 1, 2, ... in turn.

    netac graph graphs/one_peer_exponential.py --agents 8

In a DiGraph the edge i -> j means that j hears i, and its attribute `weight` is W_ji.  What is left of a row goes to
the agent itself: here W = (I + P) / 2 with a permutation P, which is doubly stochastic.
"""

import networkx as nx

WEIGHTS = "file"          # the weight rule unless the experiment names one: take the graph's own weights


def graph(t: int, n: int) -> nx.DiGraph:
    """One message out of and one into every agent."""
    shift = 2 ** (t % period(n))
    here = nx.DiGraph()
    here.add_nodes_from(range(n))
    if n > 1:
        here.add_weighted_edges_from((i, (i + shift) % n, 0.5) for i in range(n))
    return here


def period(n: int) -> int:
    """The smallest k with 2^k >= n; for n = 2^k agents that many rounds give the exact average."""
    return max(1, (n - 1).bit_length())
