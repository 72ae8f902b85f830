"""An environment of one's own: agents push a cart together, and each would rather not.

The cart stands at one of five places.  It moves right with a probability that is the share of agents who push, else
left.  Everybody gains by how far right it stands, and pays `effort` for pushing.

    netac run examples/custom_env.toml                                         # 2 s
    ./run_mpi.sh -n 4 examples/custom_env.toml

netac asks for nothing but what stands below (`netac.envs.TabularEnvironment` has the shapes): states, actions and
chance come in as arrays of M samples, and the environment itself keeps neither a state nor a random generator.
"""

import numpy as np

from netac.envs._features import JointTable

PLACES = 5


class Cart:
    """Actions: 0 rests, 1 pushes."""

    states, actions = PLACES, 2

    def __init__(self, agents: int, effort: float):
        self.agents, self.effort = agents, effort
        self.initial = np.eye(PLACES)[0]                             # the cart starts on the left
        self.phi = np.eye(PLACES)                                    # V(s): one number per place
        self.psi = JointTable(PLACES, agents, self.actions)          # R(s, a): one number per place and joint action

    def next_states(self, states, actions, uniforms):
        """(M,), (N, M), (M,) -> (M,)."""
        move = np.where(uniforms < actions.mean(axis=0), 1, -1)
        return np.clip(states + move, 0, PLACES - 1)

    def rewards(self, states, actions, next_states, agents):
        """The rewards of `agents`, (n, M), and the mean over all agents, (M,)."""
        gain = next_states / (PLACES - 1)
        own = gain - self.effort * actions[agents.start:agents.stop]
        return own, gain - self.effort * actions.mean(axis=0)


def make(agents: int, effort: float = 0.1) -> Cart:
    """What `env.factory` names: called with the number of agents and the experiment's `env.kwargs`."""
    return Cart(agents, effort)
