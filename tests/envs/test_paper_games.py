"""The papers' matrix and differential games: payoffs by hand, what the papers say, episodes, refusals, short runs."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import netac
from netac.envs import check_batched, differential, matrix
from netac.experiment import config
from netac.experiment.make_env import make_environment
from netac.utils import plugins
from netac.utils.errors import InputError
from netac.utils.options import checked


def game(agents: int, games: int = 1, **options) -> matrix.CommonPayoff:
    """A matrix game; options as in an experiment file."""
    return begun(matrix.make(checked(matrix.Settings, options), agents, games))


def real(agents: int, games: int = 1, **options) -> matrix.CommonPayoff:
    """The differential game."""
    return begun(differential.make(checked(differential.Settings, options), agents, games))


def begun(env: matrix.CommonPayoff) -> matrix.CommonPayoff:
    env.begin(0, 0)
    return env


def table(agents: int, **options) -> np.ndarray:
    return matrix.payoff_table(checked(matrix.Settings, options), agents)


def joint_actions(*n_actions: int) -> np.ndarray:
    """All joint actions, (N, product of kinds), in the order of a flattened payoff table."""
    return np.array(list(itertools.product(*map(range, n_actions)))).T


def paid(agents: int, **options) -> np.ndarray:
    """What playing every joint action once pays, one axis for each agent; every agent must get the same."""
    n_actions = [space.n_actions for space in game(agents, **options).actions]
    actions = joint_actions(*n_actions)
    r = game(agents, actions.shape[1], **options).step(actions).r
    assert r.shape == actions.shape and r.dtype == float and (r == r[0]).all()
    return r[0].reshape(n_actions)


@pytest.mark.parametrize("games", [1, 3])
@pytest.mark.parametrize(("make", "agents", "options"), [
    *((game, agents, {}) for agents in (2, 4, 200)), (game, 6, {"identity": True}), (game, 2, {"horizon": 3}),
    *((game, 2, {"game": name}) for name in ("proposition-1", "product", "climbing", "penalty")),
    *((real, agents, {}) for agents in (1, 2, 5)), (real, 2, {"clip": 0.5, "horizon": 2})])
def test_games_are_as_promised(make, agents, options, games):
    check_batched(make(agents, games, **options), agents, games, "test")


def test_payoffs_of_two_agents_by_hand():
    assert paid(2).tolist() == [[0, 1], [1, 0]]
    assert paid(2, game="climbing").tolist() == [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]
    assert paid(2, game="penalty").tolist() == [[10, 0, -100], [0, 2, 0], [-100, 0, 10]]
    assert paid(2, game="penalty", penalty=-3.0).tolist() == [[10, 0, -3], [0, 2, 0], [-3, 0, 10]]
    assert paid(2, game="penalty", penalty=0.0).tolist() == [[10, 0, 0], [0, 2, 0], [0, 0, 10]]
    assert paid(2, game="product").tolist() == [[a * b for b in range(-10, 11)] for a in range(-10, 11)]
    for name in ("climbing", "penalty", "product", "proposition-1"):
        np.testing.assert_array_equal(table(2, game=name), paid(2, game=name))


@pytest.mark.parametrize("agents", [2, 4, 6, 8])
def test_proposition_1_pays_two_joint_actions(agents):
    half, payoff = agents // 2, paid(agents)
    won = [(0,) * half + (1,) * half, (1,) * half + (0,) * half]
    assert sorted(map(tuple, np.argwhere(payoff).tolist())) == won and [payoff[joint] for joint in won] == [1, 1]
    np.testing.assert_array_equal(table(agents), payoff)


@given(st.integers(1, 300), st.data())
@settings(max_examples=40)
def test_proposition_1_of_many_agents(half, data):
    actions = np.repeat([[0, 1, 0, 1], [1, 0, 0, 1]], half, axis=0)                      # two that win, two that do not
    assert game(2 * half, 4).step(actions).r[0].tolist() == [1, 1, 0, 0]
    if half > 1:
        actions[data.draw(st.integers(0, 2 * half - 1))] ^= 1                            # one agent strays
        assert game(2 * half, 4).step(actions).r[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("agents", [2, 4, 6, 8])
def test_a_shared_policy_gets_two_in_two_to_the_n_of_the_optimum(agents):
    actions, payoff = joint_actions(*[2] * agents), paid(agents).ravel()
    p = np.linspace(0, 1, 1001)[:, None]                                                # every agent's probability of 1
    ones = actions.sum(axis=0)
    expected = (p ** ones * (1 - p) ** (agents - ones)) @ payoff
    assert payoff.max() == 1 and expected.argmax() == 500
    assert math.isclose(expected.max() / payoff.max(), 2 / 2**agents, rel_tol=1e-12)


def test_individual_maxima_are_not_the_joint_one():
    """The slides' example: means (1, -1), advantages -a_1 + 1 and a_2 + 1."""
    payoff, a = paid(2, game="product"), np.arange(-10, 11)
    weights = [np.where(a == mean, 1.0, 0.0) for mean in (1, -1)]
    value = weights[0] @ payoff @ weights[1]
    first, second = payoff @ weights[1] - value, weights[0] @ payoff - value
    assert value == -1 and first.tolist() == (1 - a).tolist() and second.tolist() == (1 + a).tolist()
    assert (a[first.argmax()], a[second.argmax()]) == (-10, 10)
    assert payoff[first.argmax(), second.argmax()] == -100 and payoff.max() == 100
    assert a[np.argwhere(payoff == 100)].tolist() == [[-10, -10], [10, 10]]


@given(array_shapes(min_dims=1, max_dims=4, max_side=4).flatmap(
    lambda shape: arrays(float, shape, elements=st.floats(-1e9, 1e9))))
@settings(max_examples=40)
def test_games_from_a_file(tmp_path_factory, payoff):
    path = str(tmp_path_factory.getbasetemp() / "payoff.npz")
    np.savez(path, payoff=payoff)
    assert tuple(space.n_actions for space in game(payoff.ndim, path=path).actions) == payoff.shape
    np.testing.assert_array_equal(paid(payoff.ndim, path=path), payoff)
    check_batched(game(payoff.ndim, 2, path=path), payoff.ndim, 2, "test")


def test_whole_numbers_from_a_file_become_doubles(tmp_path):
    np.savez(tmp_path / "x.npz", payoff=np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int8), other=np.zeros(2))
    assert table(2, path=str(tmp_path / "x.npz")).dtype == float
    assert paid(2, path=str(tmp_path / "x.npz")).tolist() == [[1, 2, 3], [4, 5, 6]]


@given(st.integers(1, 6).flatmap(lambda n: arrays(float, (n, 3, 1), elements=st.floats(-1e6, 1e6))))
@settings(max_examples=60)
def test_the_differential_game_pays_the_product(actions):
    r = real(len(actions), 3).step(actions).r
    expected = [math.prod(actions[:, e, 0].tolist()) for e in range(3)]
    assert r.shape == (len(actions), 3) and (r == expected).all()
    for e in range(3):                                                                   # alone as among others
        assert (real(len(actions)).step(actions[:, e:e + 1]).r[:, 0] == r[:, e]).all()


def test_figure_1_simultaneous_best_responses_lose_and_sequential_ones_win():
    """KL ball of 0.5 around normals of unit variance: means move by up to 1."""
    mean = np.array([-0.25, 0.25])

    def value(means: np.ndarray) -> float:
        return real(2).step(means[:, None, None]).r[0, 0]

    together = mean + np.sign(mean[::-1])
    one_by_one = mean.copy()
    for agent in (0, 1):
        one_by_one[agent] += np.sign(one_by_one[1 - agent])
    assert value(mean) == -0.0625 and value(together) == 0.75 * -0.75 and value(one_by_one) == 0.75 * 1.25


def test_spaces_and_observations():
    bounds = [(space.n_actions, space.low, space.high) for env in (real(2), real(2, clip=1.5))
              for space in env.actions[:1]]
    assert bounds == [(0, (-math.inf,), (math.inf,)), (0, (-1.5,), (1.5,))]
    env = game(4, 2, identity=True)
    assert env.observations == ((4,),) * 4
    seen = env.observe(range(1, 3))
    assert [row.tolist() for row in seen] == [[[0, 1, 0, 0]] * 2, [[0, 0, 1, 0]] * 2] and seen[0].dtype == np.float32
    for env in (game(2, 2), real(2, 2)):
        assert [row.tolist() for row in env.observe(range(2))] == [[[1.0]] * 2] * 2
        assert env.state().tolist() == [[1.0]] * 2 and env.state().dtype == np.float32


@given(st.integers(1, 5), st.lists(st.booleans(), min_size=1, max_size=20))
@settings(max_examples=40)
def test_episodes_end_at_the_horizon_and_go_on_after_resumption(horizon, early):
    """Game 1 is begun anew early, too; game 0 only when it is over."""
    env, steps = game(2, 2, horizon=horizon), np.zeros(2, dtype=int)
    for again in early:
        other = game(2, 2, horizon=horizon)
        other.set_state(env.get_state())
        step, same = env.step(np.zeros((2, 2), int)), other.step(np.zeros((2, 2), int))
        steps += 1
        assert step.done.tolist() == (steps == horizon).tolist() == same.done.tolist()
        assert step.terminated.tolist() == [step.done.tolist()] * 2 and env.active.all()
        env.restart(step.done | [False, again])
        steps[step.done | [False, again]] = 0


REFUSED = {
    "odd": ({"name": "matrix"}, 3, "agents: ", "even number", "found 3"),
    "alone": ({"name": "matrix", "game": "proposition-1"}, 1, "agents: ", "even number", "2, 4, 6"),
    "three climb": ({"name": "matrix", "game": "climbing"}, 3, "agents: ", "for two agents", "found 3"),
    "one multiplies": ({"name": "matrix", "game": "product"}, 1, "agents: ", "for two agents", "valid: 2"),
    "unknown game": ({"name": "matrix", "game": "chicken"}, 2, "env.game: ", "found 'chicken'", "climbing"),
    "two sources": ({"name": "matrix", "game": "climbing", "path": "good.npz"}, 2, "env: ", "`game`", "`path`"),
    "k of another game": ({"name": "matrix", "game": "climbing", "penalty": -1.0}, 2, "env: ",
                          "`penalty` is for", "penalty"),
    "k of a file": ({"name": "matrix", "path": "good.npz", "penalty": -1.0}, 2, "env: ", "`penalty` is for", "penalty"),
    "a reward for k": ({"name": "matrix", "game": "penalty", "penalty": 1.0}, 2, "env.penalty: ", "found 1.0",
                       "at most 0"),
    "k not a number": ({"name": "matrix", "game": "penalty", "penalty": math.nan}, 2, "env.penalty: ",
                       "found nan", "most 0"),
    "k without end": ({"name": "matrix", "game": "penalty", "penalty": -math.inf}, 2, "env.penalty: ",
                      "found -inf", "most 0"),
    "no steps": ({"name": "matrix", "horizon": 0}, 2, "env.horizon: ", "found 0", "steps after which"),
    "misspelt": ({"name": "matrix", "horizn": 2}, 2, "env.horizn: ", "did you mean 'horizon'", "game, path"),
    "not an npz": ({"name": "matrix", "path": "game.csv"}, 2, "env.path: ", "found 'game.csv'", "an .npz file"),
    "no file": ({"name": "matrix", "path": "none.npz"}, 2, "env.path: ", "there is no such file", "none.npz"),
    "no payoff": ({"name": "matrix", "path": "other.npz"}, 2, "other.npz: payoff: ", "lacks an array", "found ['r']"),
    "not finite": ({"name": "matrix", "path": "infinite.npz"}, 2, "infinite.npz: payoff: ",
                   "finite numbers", "float64"),
    "complex": ({"name": "matrix", "path": "complex.npz"}, 2, "complex.npz: payoff: ", "finite numbers", "complex128"),
    "more agents": ({"name": "matrix", "path": "good.npz"}, 3, "good.npz: payoff: ", "(2, 3)",
                    "(A_1, A_2, A_3): one axis"),
    "one agent": ({"name": "matrix", "path": "good.npz"}, 1, "good.npz: payoff: ", "found (2, 3)", "(A_1): one axis"),
    "many agents": ({"name": "matrix", "path": "good.npz"}, 70, "good.npz: payoff: ", "(A_1, A_2, A_3, ...)",
                    "70 agents"),
    "no action": ({"name": "matrix", "path": "empty.npz"}, 2, "empty.npz: payoff: ", "found (2, 0)", "(A_1, A_2)"),
    "damaged": ({"name": "matrix", "path": "damaged.npz"}, 2, "damaged.npz: ", "npz", "numpy.savez"),
    "clipped away": ({"name": "differential", "clip": 0.0}, 2, "env.clip: ", "found 0.0", "[-clip, clip]"),
    "clip without end": ({"name": "differential", "clip": math.inf}, 2, "env.clip: ", "found inf", "[-clip, clip]"),
    "differential odd key": ({"name": "differential", "penalty": -1.0}, 2, "env.penalty: ", "unknown key",
                             "clip, horizon"),
}


@pytest.fixture
def files(tmp_path):
    """A folder of payoff files, good and bad."""
    payoffs = {"good": np.ones((2, 3)), "infinite": [[1.0, np.inf]], "complex": [[1j]], "empty": np.ones((2, 0))}
    for name, payoff in payoffs.items():
        np.savez(tmp_path / f"{name}.npz", payoff=payoff)
    np.savez(tmp_path / "other.npz", r=np.ones((2, 2)))
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:-30])
    return tmp_path


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refusals(files, monkeypatch, case):
    env, agents, where, *words = case
    monkeypatch.chdir(files)
    with pytest.raises(InputError) as refused:
        experiment = config.read({"agents": agents, "iterations": 1, "env": env, "algorithm": "iac"}).experiment()
        make_environment(experiment.env, agents, 1)
    told = str(refused.value)
    assert ((told.startswith(where) or f"/{where}" in told)
            and all(word in told for word in words) and "\n" not in told), told


def test_tables_are_refused_where_they_would_be_large():
    assert table(20).shape == (2,) * 20
    for agents in (22, 1000):
        with pytest.raises(InputError, match=r"agents: .* too many joint actions .*valid: 20 at most"):
            table(agents)


def test_a_file_is_looked_for_beside_the_experiment(files):
    (files / "e.toml").write_text('agents = 2\niterations = 1\nenv = {name = "matrix", path = "good.npz"}\n'
                                  'algorithm = "iac"\n')
    env = config.read(files / "e.toml").experiment().env
    assert env.settings.path == str(files / "good.npz") and env.settings.game is None
    assert [space.n_actions for space in make_environment(env, 2, 4).probe.actions] == [2, 3]


def test_the_games_are_listed_and_load_little():
    assert {"differential", "matrix"} <= set(plugins.module_names("netac.envs"))
    program = ("import sys, netac.envs.differential; "
               "print(sorted({'torch', 'pettingzoo', 'gymnasium'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60).stdout == "[]\n"


RUNS = {
    "proposition-1": (4, {"name": "matrix", "identity": True}), "climbing": (2, {"name": "matrix", "game": "climbing"}),
    "file": (2, {"name": "matrix", "path": "good.npz", "horizon": 3}),
    "differential": (2, {"name": "differential", "clip": 2.0}), "alone": (1, {"name": "differential"})}


@pytest.mark.parametrize("name", RUNS)
def test_runs_go_on_where_they_stopped(files, monkeypatch, name):
    pytest.importorskip("torch")
    monkeypatch.chdir(files)
    agents, env = RUNS[name]
    tables = {"agents": agents, "iterations": 12, "envs": 3, "env": env,
              "policy": {"name": "mlp", "hidden": [], "shared": []},
              "algorithm": {"name": "iac", "actor_step": 0.05, "critic_step": 0.05},
              "checkpoint_every": 5, "log_every": 2}
    whole = netac.run(tables, out="whole").summary
    assert whole["iterations"] == 12 and whole["env_steps"] == 36 and math.isfinite(whole["final_reward"])
    netac.run(tables, out="stopped")
    for kept in sorted(files.glob("stopped/checkpoints/*.npz"))[1:]:
        kept.unlink()
    (files / "stopped" / "summary.json").unlink()
    assert netac.run(tables, out="stopped", resume=True).summary["parameters_sha256"] == whole["parameters_sha256"]
    assert netac.run(tables, set={"iterations": 5}).summary["parameters_sha256"] != whole["parameters_sha256"]
