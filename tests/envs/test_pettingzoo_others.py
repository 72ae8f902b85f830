"""Environments of others through the adapter, beside the same environments alone: mpe2's simple_spread, pursuit."""

import subprocess
import sys
import textwrap
from functools import partial

import numpy as np
import pytest

pytest.importorskip("pettingzoo")

from pettingzoo.sisl import pursuit_v5

from netac.envs._pettingzoo import ParallelGames
from netac.utils.spaces import ActionSpace
from netac.utils.streams import Purpose


@pytest.mark.parametrize("agents", [1, 2, 3])
@pytest.mark.parametrize("continuous", [False, True])
def test_simple_spread_of_mpe2(agents, continuous):
    from mpe2 import simple_spread_v3
    make = partial(simple_spread_v3.parallel_env, N=agents, local_ratio=0.75, max_cycles=4,
                   continuous_actions=continuous)
    games = ParallelGames(partial(make, render_mode="rgb_array"), agents, 2, "mpe2.simple_spread_v3:parallel_env")
    games.begin(7, 0)
    assert games.warnings == () and games.actions == (
        ActionSpace(0, (0.0,) * 5, (1.0,) * 5) if continuous else ActionSpace(5),) * agents
    twin = make()
    key = (Purpose.ENVIRONMENT, 0, 1, 1)
    observations, _ = twin.reset(seed=int(np.random.SeedSequence(7, spawn_key=key).generate_state(1)[0]) >> 1)
    rng = np.random.default_rng(0)
    for k in range(4):
        for shown, name in zip(games.observe(range(agents)), games.names, strict=True):
            np.testing.assert_array_equal(shown[1], observations[name])
        np.testing.assert_array_equal(games.state()[1], twin.state())
        joint = (rng.random((agents, 2, 5), dtype=np.float32).astype(float) if continuous
                 else rng.integers(5, size=(agents, 2)))
        step = games.step(joint)
        observations, rewards, *_ = twin.step({
            name: joint[i, 1].astype(np.float32) if continuous else joint[i, 1] for i, name in enumerate(games.names)})
        assert step.r[:, 1].tolist() == list(rewards.values())
        assert step.done.all() == (k == 3) and not step.terminated.any()
    assert games.render(1).dtype == np.uint8


def test_packages_are_loaded_when_an_environment_is_checked():
    program = """
        import sys
        from netac.experiment import make_env
        from netac.envs import pursuit, spread
        assert not {"gymnasium", "pettingzoo", "mpe2", "torch"} & set(sys.modules)
        sys.modules["gymnasium"] = None
        try:
            from netac.envs._pettingzoo import ParallelGames
        except ValueError as error:
            print(error)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("env: ") and 'pip install "netac[pettingzoo]"' in done.stdout, done.stderr


def test_pursuit_of_pettingzoo():
    make = partial(pursuit_v5.parallel_env, x_size=8, y_size=8, n_pursuers=3, n_evaders=2, max_cycles=5, surround=False)
    games = ParallelGames(make, 3, 2, "pettingzoo.sisl.pursuit_v5:parallel_env")
    games.begin(0, 0)
    assert games.warnings == () and games.observations == ((7, 7, 3),) * 3 and games.state_shape == (8, 8, 3)
    assert games.actions == (ActionSpace(5),) * 3
    twin = make()
    observations, _ = twin.reset(seed=int(np.random.SeedSequence(0, spawn_key=(0, 0, 0, 1)).generate_state(1)[0]) >> 1)
    rng, done = np.random.default_rng(0), False
    while not done:
        np.testing.assert_array_equal([shown[0] for shown in games.observe(range(3))], list(observations.values()))
        joint = rng.integers(5, size=(3, 2))
        step = games.step(joint)
        observations, rewards, terminations, *_ = twin.step(dict(zip(games.names, joint[:, 0], strict=True)))
        assert (step.r[:, 0].tolist() == list(rewards.values())
                and step.terminated[:, 0].tolist() == list(terminations.values()))
        done = bool(step.done[0])
        assert done == (not twin.agents)
        games.restart(step.done & np.array([False, True]))
    np.testing.assert_array_equal([shown[0] for shown in games.observe(range(3))], list(observations.values()))
