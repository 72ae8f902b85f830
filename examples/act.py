"""Trained agents in a PettingZoo environment: python examples/act.py RUN_DIR (a run of examples/pursuit.toml)."""

import sys

from pettingzoo.sisl import pursuit_v5

import netac

env = pursuit_v5.parallel_env(surround=False, n_catch=2, shared_reward=False)
policies = netac.load(sys.argv[1] if len(sys.argv) > 1 else "runs/pursuit")
observations, infos = env.reset(seed=0)
total = 0.0
while env.agents:
    observations, rewards, terminations, truncations, infos = env.step(policies(observations))
    total += sum(rewards.values()) / 8
print(f"return of an episode, mean of the agents: {total:.1f}")
