"""Battles, played by jaxmarl's SMAX where the extra `smax` is installed: against its own games, resumed, in runs.

What is compiled for one scenario and `GAMES` games serves all tests of a process: compiling takes 15 seconds.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from support.launching import ROOT, environment

import netac
from netac.envs import _smax_battles, smax
from netac.envs._batched import check_batched, drawn_evenly
from netac.experiment import config
from netac.experiment.run import checked_setting
from netac.results.records import load_run
from netac.utils.errors import InputError
from netac.utils.streams import episode_seed

GAMES = 3
EXAMPLE = ROOT / "examples" / "smax_3m.toml"
LESS = {"envs": GAMES, "algorithm.rollout": 20, "algorithm.chunk": 10, "policy.hidden": [8], "policy.units": 8,
        "critic.hidden": [8], "algorithm.minibatches": 1, "algorithm.critic_minibatches": 1, "iterations": 6,
        "log_every": 1, "checkpoint_every": 2, "evaluate_every": 3, "evaluate_episodes": 4}
OPTIMISED = "xla_backend_optimization_level"         # compiles in less time, to something slower
TIMED = {"seconds", "evaluation_seconds"}
with_smax = pytest.mark.skipif(not (find_spec("jaxmarl") and find_spec("jax")), reason="no jaxmarl (the extra smax)")


def make(games: int = GAMES, **options) -> smax.Smax:
    options = {"scenario": "3m", **options}
    return smax.make(smax.Settings(**options), smax.SCENARIOS[options["scenario"]][0], games)


def tables(**env) -> dict:
    return {"agents": 3, "iterations": 2, "env": {"name": "smax", **env}, "envs": 2, "policy": "mlp",
            "algorithm": {"name": "mappo", "rollout": 8}}


def fighting(env: smax.Smax, rngs: list[np.random.Generator]) -> np.ndarray:
    """Mostly shoot at the first enemy within range, or else stand; now and then anything allowed, game by game."""
    masks = np.array(env.action_masks(range(env.agents)))                            # (N, E, A)
    shots = masks[..., smax.MOVES:]
    actions = np.where(shots.any(axis=-1), smax.MOVES + shots.argmax(axis=-1), smax.STAND)
    for e, rng in enumerate(rngs):
        for i in np.flatnonzero(rng.random(env.agents) < 0.05):
            actions[i, e] = rng.choice(np.flatnonzero(masks[i, e]))
    return actions


def shown(env: smax.Smax) -> list[np.ndarray]:
    return [*env.observe(range(env.agents)), env.state(), *env.action_masks(range(env.agents)), env.active.T,
            env.positions().swapaxes(0, 1)]


def play(env: smax.Smax, steps: int, seed: int) -> list[np.ndarray]:
    """Everything that is seen, with an axis of games first; a game's actions depend on its number alone."""
    rngs, seen = [np.random.default_rng([seed, e]) for e in range(env.games)], []
    for _ in range(steps):
        step = env.step(fighting(env, rngs))
        seen += [step.r.T, step.terminated.T, step.done, *shown(env), *env.measured().values()]
        env.restart(step.done)
        seen += shown(env)
    return seen


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(map(np.array_equal, first, second))


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """What this process compiles is found by those that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("jax")))
        yield


# --- what is refused, before JAX is needed ---

@pytest.mark.parametrize(("options", "says"), [
    ({"scenario": "3s_vs_5"}, r"env\.scenario: .*'3s_vs_5' \(did you mean '3s_vs_5z'\?\); there are 3m, 2s3z"),
    ({"attack_mode": "weakest"}, "env.attack_mode: should be 'closest' or 'random'"),
    ({"max_steps": 0}, "env.max_steps"), ({"dead": "gone"}, "env.dead: should be 'inactive' or 'waiting'")])
def test_options_that_do_not_hold(options, says):
    with pytest.raises(InputError, match=says):
        checked_setting(config.read(tables(**options)))


@pytest.mark.parametrize("missing", ["jax", "jaxmarl"])
def test_without_the_extra_a_message_says_what_to_install(monkeypatch, missing):
    monkeypatch.setattr(smax, "find_spec", lambda name: None if name == missing else True)
    with pytest.raises(InputError, match=(rf'^env\.name: needs {missing}, which is not installed '
                                          r'\(found .smax.; valid: pip install "netac\[smax\]"\)$')):
        checked_setting(config.read(tables()))


def test_another_number_of_agents_than_of_allies(monkeypatch):
    monkeypatch.setattr(smax, "find_spec", lambda name: True)
    with pytest.raises(InputError, match=r"^agents: 2s3z has another .* \(found 3; valid: agents = 5\)"):
        checked_setting(config.read(tables(scenario="2s3z")))


def test_what_cannot_be_loaded_is_told(monkeypatch):
    monkeypatch.setattr(smax, "find_spec", lambda name: True)

    def fails(name):
        raise RuntimeError("Unknown backend: 'cpu' requested" if name == "jax" else name)

    monkeypatch.setattr(_smax_battles.importlib, "import_module", fails)
    monkeypatch.setattr(_smax_battles, "_compiled", {})
    with pytest.raises(InputError, match=r"^env\.name: SMAX cannot be loaded: RuntimeError: Unknown backend.*"
                                         r"valid: JAX_PLATFORMS with cpu among others, or not set\)$"):
        make().begin(0, 0)


def test_nothing_but_playing_loads_jax(program_that):
    program_that("import sys\nfrom netac.experiment import config\nfrom netac.experiment.run import checked_setting\n"
                 "from netac.envs import smax\nsmax.find_spec = lambda name: True\n"
                 f"checked_setting(config.read({tables()!r}))\n"
                 "assert not {'jax', 'jaxmarl'} & {*sys.modules}, 'loaded'\n")


@pytest.fixture
def program_that():
    """Runs a text as a program, which must succeed."""
    def run(text: str) -> None:
        done = subprocess.run([sys.executable, "-c", text], env=environment(PYTHONPATH=str(ROOT)), text=True,
                              capture_output=True, timeout=250)
        assert done.returncode == 0, done.stderr

    return run


# --- what is played ---

@with_smax
def test_what_is_said_of_scenarios_without_asking_them_is_so():
    _, package = _smax_battles._loaded()
    from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO
    theirs = {name: (each.num_allies, each.num_enemies) for name, each in MAP_NAME_TO_SCENARIO.items()}
    assert theirs == smax.SCENARIOS
    for name in smax.SCENARIOS:
        env, theirs = make(scenario=name), package.HeuristicEnemySMAX(scenario=package.map_name_to_scenario(name))
        assert env.names == tuple(theirs.agents) and env.state_shape == (theirs.state_size,)
        assert env.observations == tuple(theirs.observation_spaces[ally].shape for ally in theirs.agents)
        assert [space.n_actions for space in env.actions] == [theirs.action_spaces[ally].n for ally in theirs.agents]
        assert env.nbytes > smax.NBYTES
    assert np.array_equal(np.float32(smax.HEALTH), theirs.unit_type_health)
    assert np.array_equal(np.float32(smax.RADII), theirs.unit_type_radiuses)
    assert theirs.map_width == theirs.map_height == smax.SIDE and theirs.num_movement_actions == smax.MOVES
    assert {name for name in sys.modules if name.startswith("jaxmarl.env")} >= {"jaxmarl.environments.smax"}
    assert "jaxmarl.environments" not in sys.modules        # a later import of jaxmarl is what it would have been


@with_smax
def test_games_are_as_promised():
    check_batched(make(), 3, GAMES, "smax")


class ByHand:
    """One game of jaxmarl's, a batch of one, stepped by its own functions with netac's keys."""

    def __init__(self):
        self.jax, package = _smax_battles._loaded()
        self.env = env = package.HeuristicEnemySMAX(scenario=package.map_name_to_scenario("3m"))

        def step(key, state, actions):
            found = env.step_env(key, state, dict(zip(env.agents, actions, strict=True)))
            return found, env.get_avail_actions(found[1])

        self._reset, self._step = (self.jax.jit(self.jax.vmap(one), compiler_options={OPTIMISED: 1})
                                   for one in (env.reset, step))

    def begin(self, seed: int) -> None:
        self._key, self._t = self.jax.random.key(seed), 0
        seen, self._states = self._reset(self.jax.random.fold_in(self._key, 0)[None])
        self.seen = self._of_one(seen)

    def step(self, actions: np.ndarray):
        self._t += 1
        key = self.jax.random.fold_in(self._key, self._t)
        found, allowed = self._step(key[None], self._states, actions[None].astype(np.int32))
        seen, self._states, rewards, dones, _ = found
        self.seen, self.allowed = self._of_one(seen), self._of_one(allowed)
        self.alive = np.asarray(self._states.state.unit_alive)[0]
        return self._of_one(rewards), self._of_one(dones)

    @staticmethod
    def _of_one(arrays: dict) -> dict[str, np.ndarray]:
        return {name: np.asarray(array)[0] for name, array in arrays.items()}


@with_smax
@pytest.mark.parametrize("dead", ["inactive", "waiting"])
def test_games_are_those_of_jaxmarl_stepped_by_hand(by_hand, dead):
    env, rngs = make(dead=dead), [np.random.default_rng(e) for e in range(GAMES)]
    env.begin(0, 2)
    won, fallen, episodes = 0, 0, np.zeros(GAMES, dtype=int)
    for game in range(GAMES):
        one = by_hand
        one.begin(episode_seed(0, 2, game, 0))
        env.begin(0, 2)
        rngs[game] = np.random.default_rng(game)
        for ally, seen in zip(env.names, env.observe(range(3)), strict=True):
            assert np.array_equal(seen[game], one.seen[ally])
        alive = np.ones(3, dtype=bool)
        while not episodes[game]:
            actions = fighting(env, rngs)
            step, (rewards, dones) = env.step(actions), one.step(actions[:, game])
            for i, ally in enumerate(env.names):
                assert np.array_equal(env.observe(range(3))[i][game], one.seen[ally])
                assert np.array_equal(env.action_masks(range(3))[i][game], one.allowed[ally].astype(bool))
                assert step.r[i, game] == float(rewards[ally])
                assert env.active[i, game] == (dead == "waiting" or not dones[ally])
                assert step.terminated[i, game] or not dones[ally] or dead == "waiting"
            assert np.array_equal(env.state()[game], one.seen["world_state"]) and step.done[game] == dones["__all__"]
            units = one.alive
            fallen += int((alive & ~units[:3]).sum())
            alive = units[:3]
            if step.done[game]:
                victory = units[:3].any() and not units[3:].any()
                assert step.terminated[:, game].all() and env.measured()["win_rate"][game] == victory
                won, episodes[game] = won + victory, 1
            else:
                assert dead == "inactive" or not step.terminated[:, game].any()
            if step.done.any():
                env.restart(step.done)
    assert won and fallen


@pytest.fixture(scope="module")
def by_hand() -> ByHand:
    return ByHand()


@with_smax
def test_a_battle_is_truncated_when_its_time_is_over():
    env = make()
    env.begin(0, 0)
    state = env.get_state()
    state["step"][:] = 99
    env.set_state(state)
    first, second = (env.step(np.full((3, GAMES), smax.STAND)) for _ in range(2))
    assert not first.done.any() and second.done.all()        # SMAX looks at how many steps came before
    assert not second.terminated.any() and not env.measured()["win_rate"].any()


@with_smax
def test_equal_seeds_give_equal_games_whatever_else_is_played_beside_them():
    few, many = make(), make(GAMES + 2)                      # the latter are played in two parts
    few.begin(5, 1)
    many.begin(5, 1)
    assert len(many._states) == 2 and len(few._states) == 1
    alone, among = play(few, 60, 0), play(many, 60, 0)
    assert any(each.shape == (GAMES,) and each.dtype == bool and each.any() for each in alone)     # episodes ended
    assert same(alone, [each[:GAMES] for each in among])
    few.begin(5, 1)
    assert same(alone, play(few, 60, 0))
    few.begin(5, 2)
    assert not same(alone, play(few, 60, 0))


@with_smax
@pytest.mark.parametrize("games", [1, 2, GAMES + 2])
def test_games_go_on_from_what_was_kept(games):
    env, resumed = make(games), make(games)
    for steps in (0, 9, 40):
        env.begin(4, 0)
        play(env, steps, 0)
        kept = {name: array.copy() for name, array in env.get_state().items()}
        assert all(type(array) is np.ndarray and len(array) == games for array in kept.values())
        expected = [*shown(env), *play(env, 40, 1)]
        resumed.begin(4, 0)
        play(resumed, 3, 2)
        resumed.set_state(kept)
        assert same(expected, [*shown(resumed), *play(resumed, 40, 1)]), steps


@with_smax
def test_what_else_uses_jax_may_set_changes_nothing():
    import jax
    env = make()
    env.begin(1, 0)
    before = play(env, 10, 0)
    with jax.enable_x64(True), jax.threefry_partitionable(False):
        env.begin(1, 0)
        assert same(before, play(env, 10, 0))
    assert jax.numpy.zeros(1).dtype == np.float32


@with_smax
def test_pictures_show_who_stands_where():
    env = make()
    env.begin(0, 0)
    first = env.render(1)
    assert first.shape == (480, 480, 3) and first.dtype == np.uint8
    red, _, blue = first.astype(int).transpose(2, 0, 1)
    allies, enemies = np.argwhere(blue > red + 50), np.argwhere(red > blue + 50)
    assert allies[:, 1].max() < 240 < enemies[:, 1].min()    # allies begin on the left
    state = env.get_state()
    state["unit_alive"][1, :3], state["unit_health"][1, :3] = False, 0.0
    env.set_state(state)
    red, _, blue = env.render(1).astype(int).transpose(2, 0, 1)
    assert not (blue > red + 50).any() and (red > blue + 50).any()


# --- runs ---

@with_smax
def test_the_example_is_the_same_for_every_p_and_after_a_stop(tmp_path, mpirun):
    pytest.importorskip("torch")
    whole = netac.run(EXAMPLE, set=LESS, out=tmp_path / "whole")
    assert [*whole.metrics][-1] == [*whole.evaluations][-1] == "win_rate"
    assert 0 <= whole.summary["win_rate"] <= 1 and whole.metrics["episodes"].sum() > 2
    netac.run(EXAMPLE, set=LESS, until=4, out=tmp_path / "parts")
    parts = netac.run(EXAMPLE, set=LESS, out=tmp_path / "parts", resume=True)
    assert parts.summary["parameters_sha256"] == whole.summary["parameters_sha256"]
    settings = {"JAX_ENABLE_X64": "1", "JAX_THREEFRY_PARTITIONABLE": "0"}
    done = mpirun(3, [sys.executable, "-m", "netac", "run", tmp_path / "whole" / "experiment.toml",
                      "--out", tmp_path / "three"], timeout=200, env=settings)
    assert done.returncode == 0, done.stderr
    for other in ("parts", "three"):
        run = load_run(tmp_path / other)
        for table in ("metrics", "evaluations"):
            mine, theirs = getattr(whole, table), getattr(run, table)
            for name in mine.keys() - TIMED:
                np.testing.assert_array_equal(mine[name], theirs[name], err_msg=f"{other}: {name}")
    played = netac.evaluate(tmp_path / "whole", 2, frames=True)
    assert len(played.frames) and played.measured["win_rate"].shape == (2,)


@with_smax
@pytest.mark.parametrize("algorithm", ["cppo", "ippo", "qmix"])
def test_others_learn_there_too(tmp_path, algorithm):
    """Own critics of agents that die, in the decentralized world as well, and a replay."""
    pytest.importorskip("torch")
    own = {"cppo": {"rollout": 30}, "ippo": {"rollout": 30, "parameters": "shared"},
           "qmix": {"rollout": 30, "batch": 8, "warmup": 30, "buffer": 500}}[algorithm]
    result = netac.run(tables() | {"envs": GAMES, "policy": {"name": "mlp", "hidden": [8]}, "topology": "complete",
                                   "algorithm": {"name": algorithm, **own}}, out=tmp_path)
    assert result.metrics["reward"][-1] > 0 and np.isfinite(result.summary["final_reward"])


@with_smax
@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in smax.SCENARIOS if name != "3m"])
def test_all_other_scenarios(name):
    env, rng = make(2, scenario=name), np.random.default_rng(0)
    check_batched(env, env.agents, 2, name)
    for _ in range(30):
        step = env.step(drawn_evenly(env, rng))
        env.restart(step.done)
    assert np.isfinite(env.state()).all()


@with_smax
@pytest.mark.long
def test_jaxmarl_is_imported_afterwards_as_it_would_have_been(program_that):
    program_that("from netac.envs import _smax_battles\n_, package = _smax_battles._loaded()\nimport jaxmarl\n"
                 "env = jaxmarl.make('HeuristicEnemySMAX')\nassert type(env) is package.HeuristicEnemySMAX\n"
                 "import jaxmarl.environments.smax as again\nassert again is package and jaxmarl.registered_envs\n")
