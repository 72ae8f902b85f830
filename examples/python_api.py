"""netac from Python: run, look at the arrays, compare.  The same script works alone and under mpirun.

    python examples/python_api.py                    # 2 s
    ./run_mpi.sh -n 5 examples/python_api.py         # one agent per process: 11 s on two cores
"""

import netac
from netac.comm.launch import is_follower


def say(text: str) -> None:
    """Print once, whatever the number of processes: all of them get the same results."""
    if not is_follower():
        print(text)


def main() -> None:
    """Two learning rates of one experiment, then two algorithms over three seeds."""
    for step in (0.02, 0.05):
        result = netac.run("examples/coordination.toml", set={"algorithm.actor_step": step, "iterations": 2000})
        theta = result.parameters["theta"]                                         # (N, 8): logits, agent by agent
        say(f"actor_step {step}: reward {result.summary['final_reward']:.2f} per step, "
            f"favourite actions {theta.argmax(axis=1).tolist()}, "
            f"{result.metrics['bytes_consensus'][-1] / 1e3:.0f} kB sent per agent")

    table = netac.compare("examples/coordination.toml", ["cac", "iac"], seeds=3, set={"iterations": 2000})
    for row in table.rows:
        say(f"{row['algorithm']}: {row['final_reward']:.2f} "
            f"[{row['final_reward_low']:.2f}, {row['final_reward_high']:.2f}]")


if __name__ == "__main__":                           # `compare` starts workers anew: a script needs this line
    main()
