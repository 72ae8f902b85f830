"""An environment and a topology that are not the same in every process, and fingerprints that are not: argument 1."""

import os
import sys

import numpy as np

import netac
from netac.comm import launch
from netac.envs import JointTable
from netac.experiment import fingerprint


class Env:
    states, actions = 64, 2                                  # two processes meet by chance in four comparisons: 64^-4

    def __init__(self, agents):
        self.agents, self.initial, self.phi = agents, np.eye(self.states)[0], np.eye(self.states)
        self.psi = JointTable(self.states, agents, self.actions)

    def next_states(self, states, actions, uniforms):
        return (uniforms < 0.5).astype(int) if sys.argv[1] != "states" else np.random.default_rng().integers(
            0, self.states, len(uniforms))

    def rewards(self, states, actions, next_states, agents):
        own = actions.astype(float) + (os.getpid() if sys.argv[1] == "rewards" else 0)
        return own[agents.start:agents.stop], own.mean(axis=0)


if __name__ == "__main__":
    if sys.argv[1] == "fingerprint":
        comm = launch.communicator()
        try:
            fingerprint.compare_processes(comm, {"topology.path a.py": "1" * 64, "version of numpy": f"2.{comm.rank}"},
                                          lambda rank: f"agents {rank}")
        except netac.InputError as error:
            sys.exit(launch.end(error))
    netac.run({"agents": 4, "iterations": 200, "checkpoint_every": 50, "env": {"factory": "unlike:Env"},
               "topology": "ring", "algorithm": "cac"}, out=sys.argv[2])
