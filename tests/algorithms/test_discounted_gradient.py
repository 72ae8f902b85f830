"""With `discounted_gradient` learners' expected step is along the exact gradient of the return, without it not."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.special import softmax

pytest.importorskip("torch")

from netac.exact import softmax_gradient
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.experiment.run import iterate
from netac.theory._episodes import GAMMA, STEPS, direction, investment
from netac.utils.progress import Progress

QUARTERS = (np.arange(4) + 0.5) / 4                   # uniforms of which one in four is below 1/4
GAMES = 16**STEPS                                     # every joint course of an episode, as often as it is likely
LOGITS = np.log([[[0.75, 0.25]], [[0.25, 0.75]]])     # chances of action 1, of agents that do not see the state
BLIND = np.zeros(5, dtype=np.int64)
CASES = {
    "mappo": {"name": "mappo", "parameters": "separate", "critic_epochs": 1},
    "ippo": {"name": "ippo", "parameters": "separate"},
    "jrppo": {"name": "jrppo", "parameters": "separate"},
    "haa2c": {"name": "haa2c", "actor_step": 1e-3},
    "cppo": {"name": "cppo", "reward": "own"},
    "cppo consensus": {"name": "cppo", "reward": "consensus"},
    "dsgd-ppo": {"name": "dsgd-ppo", "reward": "own"}}


class Counted:
    """In the place of a stream: the uniforms of every course, one step of all games after the other."""

    def __init__(self):
        self._courses = np.array(list(product(product(QUARTERS, repeat=2), repeat=STEPS)))        # (E, T, n)
        self.position, self._t = 0, 0

    def take(self, count: int) -> np.ndarray:
        assert count == GAMES
        self._t += 1
        return self._courses[:, (self._t - 1) % STEPS]


@cache
def step_of(name: str, discounted: bool) -> np.ndarray:
    """(N, A) what one iteration adds to the logits, in units of the step size and for a whole episode."""
    options = {"gamma": GAMMA, "gae_lambda": 1.0, "epochs": 1, "rollout": STEPS, "advantages": "raw", "entropy": 0.0,
               "clip": None, "optimizer": "plain", "actor_step": 1e-2, "value_normalisation": False} | CASES[name]
    tables = {"agents": 2, "iterations": 1, "envs": GAMES, "topology": "disconnected", "allow_disconnected": True,
              "env": {"factory": "netac.theory._episodes:Investments"}, "policy": {"name": "mlp", "hidden": []},
              "critic": {"name": "mlp", "hidden": []}, "algorithm": options | {"discounted_gradient": discounted}}
    if name.startswith("cppo") or name == "dsgd-ppo":
        tables["policy"] |= {"shared": ["*"]} if name == "dsgd-ppo" else {"shared": []}
    parts = assemble(prepare(config.read(tables).experiment()))
    parts.sampler.feeds[0].actions = Counted()
    theta = parts.agents.parameters.theta
    theta[:] = 0.0
    theta[:, 2:4] = LOGITS[:, 0]                      # biases; the weights of the constant 1 are 0
    start = theta[:, 2:4].astype(float)
    iterate(parts, None, False, Progress(1, False), True)
    return (theta[:, 2:4] - start) / options["actor_step"] * STEPS


def exact(weight: float) -> np.ndarray:
    return direction(investment(), LOGITS, BLIND, weight)[:, 0]


def test_the_direction_with_gamma_is_the_exact_gradient_of_the_return():
    by_state = softmax_gradient(investment(), softmax(LOGITS, axis=-1)[:, BLIND]) / (1.0 - GAMMA)
    np.testing.assert_allclose(exact(GAMMA), by_state.sum(axis=1), atol=1e-14)
    assert exact(GAMMA)[0, 1] > 0.0 > exact(1.0)[0, 1]               # the two point in opposite directions


@pytest.mark.parametrize("name", CASES)
def test_with_the_option_the_expected_step_is_the_gradient_of_the_return(name):
    np.testing.assert_allclose(step_of(name, True), exact(GAMMA), atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_without_it_the_expected_step_is_another_one(name):
    np.testing.assert_allclose(step_of(name, False), exact(1.0), atol=1e-3)
    assert np.abs(step_of(name, False) - exact(GAMMA)).max() > 0.05
