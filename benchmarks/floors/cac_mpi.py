"""CAC on the coordination game, one agent per process, with nothing but mpi4py and NumPy.

The messages are netac's: one Allgather of the actions (a byte each) an iteration, and at every `period`-th one a
neighbourhood exchange of omega, lambda and theta over the complete graph, posted before the game is played.  So is the
arithmetic: values, residuals, scores and steps as lines 4 to 9 of the algorithm name them.
"""

from __future__ import annotations

import sys
import time

import numpy as np

ACTIONS = 8
PAYOFF = (np.arange(ACTIONS) - 3.5) ** 2 - 1.0        # of an action, less oneself in the count


def run(comm, iterations: int, seed: int, period: int = 5, gamma: float = 0.95, alpha: float = 0.05, beta: float = 0.1,
        zeta: float = 0.1) -> tuple[float, np.ndarray]:
    """Seconds spent iterating, and this agent's parameters: omega, 8 N numbers of lambda, 8 of theta."""
    N, me = comm.size, comm.rank
    rng = np.random.default_rng([seed, me])
    others = [rank for rank in range(N) if rank != me]
    graph = comm.Create_dist_graph_adjacent(others, others, reorder=False)
    x = np.zeros(1 + ACTIONS * N + ACTIONS)
    omega, lam, theta = x[:1], x[1:-ACTIONS], x[-ACTIONS:]
    values = np.empty((N, len(x)))                    # own parameters, then the neighbours'
    weights = np.full(N, 1 / N)
    sent, actions, first = np.empty(1, dtype=np.uint8), np.empty(N, dtype=np.uint8), np.arange(N) * ACTIONS
    phi, psi, team = np.ones(1), np.zeros(ACTIONS * N), np.empty(iterations)
    comm.Barrier()
    started = time.perf_counter()
    for t in range(iterations):
        mixing = t % period == period - 1
        if mixing:
            values[0] = x
            exchange = graph.Ineighbor_allgather(values[0], values[1:])
        mass = np.exp(theta - theta.max())
        below = mass.cumsum()
        action = int((below > rng.random() * below[-1]).argmax())
        sent[0] = action
        comm.Allgather(sent, actions)
        counts = np.bincount(actions, minlength=ACTIONS)
        payoff = PAYOFF + counts
        team[t] = payoff @ counts / N
        r = payoff[action] + rng.gumbel()
        psi[:] = 0.0
        psi[first + actions] = 1 / np.sqrt(N)
        V, V_next, R = phi @ omega, phi @ omega, psi @ lam
        omega_step = beta * (r + gamma * V_next - V) * phi
        lambda_step = zeta * (r - R) * psi
        score = mass / -below[-1]
        score[action] += 1.0
        theta_step = alpha * (R + gamma * V_next - V) * score
        if mixing:
            exchange.Wait()
            x[:] = weights @ values
        omega += omega_step
        lam += lambda_step
        theta += theta_step
    comm.Barrier()
    seconds = time.perf_counter() - started
    graph.Free()
    return seconds, x


def main() -> None:
    """Print the seconds of as many iterations as the command line says, on the processes of the launch."""
    from mpi4py import MPI
    seconds = run(MPI.COMM_WORLD, int(sys.argv[1]), seed=0)[0]
    if MPI.COMM_WORLD.rank == 0:
        print(seconds)


if __name__ == "__main__":
    main()
