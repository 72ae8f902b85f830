"""Small neural agents with random samples, and the same networks put together independently, in double precision."""

from __future__ import annotations

import numpy as np
import torch

from netac.agents.alignment import aligned
from netac.agents.neural.critics import neural_critic
from netac.agents.neural.policies import neural_policy
from netac.agents.transitions import Transitions
from netac.utils.spaces import ActionSpace

IMAGE, VECTOR = (7, 7, 3), (6,)
CNN, MLP = {"name": "cnn", "channels": [4, 5]}, {"name": "mlp", "hidden": [7, 8]}
DISCRETE, BOX = ActionSpace(5), ActionSpace(0, (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
KINDS = [(MLP, VECTOR, DISCRETE), (MLP, VECTOR, BOX), (CNN, IMAGE, DISCRETE), (CNN, IMAGE, BOX)]
F = 9       # numbers of a joint action


def names(N):
    return [f"hunter_{i}" for i in range(N)]


def make_policy(N, spec=MLP, observation=VECTOR, space=DISCRETE, shared=("*",), **options):
    return neural_policy(spec, [observation] * N, [space] * N, names(N), list(shared), **options)


def make_critic(what, N, spec=MLP, observation=VECTOR, mixed=True):
    return neural_critic(what, spec, [observation] * N, names(N), F, mixed)


def rows_of(part, N, rng=None, seed=3):
    """Initial values in memory that can be bound, moved a little if `rng` is given."""
    rows = aligned(N, part.size)
    rows[:] = part.initial(seed, range(N))
    if rng is not None:
        rows += 0.3 * rng.standard_normal(rows.shape)
    return rows


def samples(rng, policy, theta, shapes, M, masked=False):
    N = len(shapes)
    obs, after = ([rng.standard_normal((M, *shape)).astype(np.float32) for shape in shapes] for _ in range(2))
    own, pi = policy.act(theta, obs, rng.random((N, M, 3)))
    b = Transitions(obs, after, obs, after, own, pi, list(rng.random((N, M, F)).astype(np.float32)),
                    rng.standard_normal((N, M)))
    b.next_joint = list(rng.random((N, M, F)).astype(np.float32))
    if masked:
        b.active, b.bootstrap_mask = (rng.integers(2, size=(N, M)).astype(float) for _ in range(2))
    return b


def reference(spec, observation, outputs, joint, row, places, copies=1):
    """The same network in double precision, put together from torch's own layers: a function, and its parameters."""
    taken = {name: torch.tensor(row[place], dtype=torch.float64, requires_grad=True) for name, place in places.items()}
    act = torch.tanh if spec["name"] == "mlp" else torch.relu
    before, layers = [observation[-1], *spec.get("channels", [])], len(spec.get("channels", []))

    def forward(x, a=None):
        x = torch.tensor(x, dtype=torch.float64)
        if layers:
            x = x.permute(0, 3, 1, 2)
            for k in range(layers):
                weight = taken[f"conv{k + 1}.weight"].view(before[k + 1], before[k], 3, 3)
                x = act(torch.nn.functional.conv2d(x, weight, taken[f"conv{k + 1}.bias"]))
        x = x.flatten(1)
        if a is not None:
            x = torch.cat([x, torch.tensor(a, dtype=torch.float64)], 1)
        for name in [f"dense{k + 1}" for k in range(len(spec.get("hidden", [])))] + ["output"]:
            bias = taken[f"{name}.bias"]
            x = torch.nn.functional.linear(x, taken[f"{name}.weight"].view(len(bias), -1), bias)
            x = act(x) if name != "output" else x
        return x
    return forward, taken


def distribution(forward, taken, space, obs):
    out = forward(obs)
    if space.n_actions:
        return torch.distributions.Categorical(logits=out)
    return torch.distributions.Independent(torch.distributions.Normal(out, taken["log_std"].exp()), 1)


def flattened(taken, places, width):
    found = np.zeros(width)
    for name, place in places.items():
        if taken[name].grad is not None:
            found[place] = taken[name].grad.numpy()
    return found
