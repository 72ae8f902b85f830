"""Policies with memory: unrolled gradients against torch, memories of games, runs that do not depend on processes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.networks import BOX, DISCRETE, VECTOR, flattened, names, rows_of
from programs.every import run_every
from support.neural_variants import arena
from support.variants import fingerprint

import netac
from netac.agents.neural.policies import neural_policy
from netac.agents.sequences import Sequences, chunked
from netac.agents.transitions import Transitions
from netac.comm import checkpoints
from netac.envs._batched import Step
from netac.experiment.build import assemble, prepare
from netac.experiment.config import read
from netac.sampling.rollout import Rollouts
from netac.utils.errors import InputError
from netac.utils.spaces import ActionSpace

HERE = str(Path(__file__).parent)
GRU = {"name": "gru", "hidden": [5], "units": 4}
H, T, E, L = 4, 6, 3, 3


class Recall:
    """E games of 20 steps in which each of N agents sees a bit, and is paid 1 for repeating that of the step before."""

    length = 20

    def __init__(self, agents: int, games: int):
        self.agents, self.games, self.names = agents, games, tuple(names(agents))
        self.observations, self.actions = ((1,),) * agents, (ActionSpace(2),) * agents

    def begin(self, seed: int, chain: int) -> None:
        self._rng = np.random.Generator(np.random.Philox(key=[seed, chain]))
        self._bits, self._last = np.zeros((2, self.agents, self.games), dtype=np.int64)
        self._t, self.active = np.zeros(self.games, dtype=np.int64), np.ones((self.agents, self.games), dtype=bool)
        self._bits[:] = self._rng.integers(2, size=self._bits.shape)

    def observe(self, agents: range) -> list[np.ndarray]:
        return [2.0 * self._bits[i][:, None].astype(np.float32) - 1.0 for i in agents]

    def step(self, actions: np.ndarray) -> Step:
        r = (actions == self._last) * (self._t > 0).astype(float)
        self._last, self._bits = self._bits, self._rng.integers(2, size=self._bits.shape)
        self._t += 1
        return Step(r, np.zeros(r.shape, dtype=bool), self._t == self.length)

    def restart(self, games: np.ndarray) -> None:
        self._t[games] = 0


class Elman(torch.nn.Module):
    """A user's network with memory.

    Args:
        fault: "outputs", "size" or "batch": what is wrong with it.
        extra: numbers that agents who see more than 5 remember besides.
    """

    def __init__(self, observation, outputs, fault="", extra=0):
        super().__init__()
        self.memory, self._fault = 3 + extra * (observation[0] > 5), fault
        self.inner = torch.nn.Linear(observation[0] + self.memory, self.memory)
        self.outer = torch.nn.Linear(self.memory, outputs)

    def forward(self, observation, memory):
        after = torch.tanh(self.inner(torch.cat([observation, memory], dim=1)))
        if self._fault == "batch":
            after = after - after.mean(dim=0)
        if self._fault == "outputs":
            return self.outer(after)
        return self.outer(after), after[:, 1:] if self._fault == "size" else after


def user(**kwargs) -> dict:
    return {"factory": "test_recurrent:Elman", "folder": HERE, "kwargs": kwargs}


def make_gru(N: int, space=DISCRETE, entropy: float = 0.0):
    return neural_policy(GRU, [VECTOR] * N, [space] * N, names(N), entropy=entropy, recurrent=True)


def drawn(rng, N: int, space, masked: bool = False) -> Transitions:
    """Samples of T steps of E games, in chunks of L."""
    obs = list(rng.standard_normal((N, T * E, *VECTOR)).astype(np.float32))
    own = list(rng.integers(5, size=(N, T * E)) if space.n_actions else rng.standard_normal((N, T * E, 3)))
    sequences = Sequences(chunked(T, E, L), list(rng.uniform(-1, 1, (N, T * E // L, H)).astype(np.float32)),
                          rng.random(T * E) < 0.3)
    active = rng.integers(2, size=(N, T * E)).astype(float) if masked else None
    return Transitions(obs=obs, own=own, active=active, sequences=sequences)


def reference(row, places, space, b: Transitions, i: int):
    """What agent i draws from in every sample, by torch's cell in double precision, game by game; its parameters."""
    taken = {name: torch.tensor(row[place], dtype=torch.float64, requires_grad=True) for name, place in places.items()}

    def linear(x, name):
        bias = taken[f"{name}.bias"]
        return torch.nn.functional.linear(x, taken[f"{name}.weight"].view(len(bias), -1), bias)

    def forward():
        cell = torch.nn.GRUCell(5, H).double()
        weights = {name: taken[f"cell.{name}"].view(each.shape) for name, each in cell.named_parameters()}
        outputs = [None] * (T * E)
        for e in range(E):
            for t in range(T):
                sample, first = t * E + e, t % L == 0
                if first:
                    h = torch.tensor(b.sequences.memory[i][t // L * E + e], dtype=torch.float64)
                if b.sequences.fresh[sample]:
                    h = torch.zeros(H, dtype=torch.float64)
                x = torch.tanh(linear(torch.tensor(b.obs[i][sample], dtype=torch.float64), "dense1"))
                h = torch.func.functional_call(cell, weights, (x, h))
                outputs[sample] = linear(h, "output")
        found = torch.stack(outputs)
        if space.n_actions:
            return torch.distributions.Categorical(logits=found)
        return torch.distributions.Independent(torch.distributions.Normal(found, taken["log_std"].exp()), 1)

    return forward, taken


@pytest.mark.parametrize("space", [DISCRETE, BOX])
@pytest.mark.parametrize("N", [1, 2])
def test_gradients_are_those_of_torchs_cell_unrolled_over_the_same_chunks(N, space):
    rng = np.random.default_rng(N)
    policy = make_gru(N, space, entropy=0.3)
    theta, b, weights = rows_of(policy, N, rng), drawn(rng, N, space, masked=True), rng.standard_normal((N, T * E))
    log_prob, gradient = policy.log_prob(theta, b), policy.gradient(theta, b, weights).copy()
    assert policy.memory == H and 0 < b.sequences.fresh.sum() < T * E
    for i in range(N):
        places = policy.networks.tensors[i].places
        forward, taken = reference(theta[i], places, space, b, i)
        chance = forward()
        theirs = chance.log_prob(torch.tensor(b.own[i]))
        np.testing.assert_allclose(log_prob[i], theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
        (torch.tensor(b.sample_weight[i])
         * (torch.tensor(weights[i]) * theirs + 0.3 * chance.entropy())).sum().backward()
        np.testing.assert_allclose(gradient[i], flattened(taken, places, policy.size), rtol=2e-4, atol=5e-5)
        assert np.abs(gradient[i][places["cell.weight_hh"]]).max() > 1e-3
        pi = policy.distributions(theta, b)[i]
        found, wanted = (pi.log_probabilities, chance.logits) if space.n_actions else (pi.mean, chance.mean)
        np.testing.assert_allclose(found, wanted.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("space", [DISCRETE, BOX])
def test_fisher_and_score_products_see_through_the_memory(space):
    rng = np.random.default_rng(4)
    policy = make_gru(1, space)
    theta, b = rows_of(policy, 1, rng), drawn(rng, 1, space)
    v, places = rng.standard_normal((1, policy.size)).astype(np.float32), policy.networks.tensors[0].places
    forward, taken = reference(theta[0], places, space, b, 0)
    chance, parameters = forward(), list(taken.values())
    with torch.no_grad():
        before = forward()
    along = [torch.tensor(v[0, place], dtype=torch.float64) for place in places.values()]
    slopes = torch.autograd.grad(torch.distributions.kl_divergence(before, chance).sum(), parameters, create_graph=True)
    slope = sum((one * other).sum() for one, other in zip(slopes, along, strict=True))
    slope.backward()
    np.testing.assert_allclose(policy.fisher_product(theta, b, v)[0], flattened(taken, places, policy.size), rtol=1e-3,
                               atol=1e-4)
    found = policy.score_products(theta, b, v)[0]
    for sample in (0, 4, T * E - 1):
        scores = torch.autograd.grad(forward().log_prob(torch.tensor(b.own[0]))[sample], parameters, allow_unused=True)
        wanted = sum((one * other).sum().item() for one, other in zip(scores, along, strict=True) if one is not None)
        assert found[sample] == pytest.approx(wanted, rel=1e-3, abs=1e-4)


@settings(max_examples=25)
@given(steps=st.integers(1, 4), length=st.integers(1, 4), games=st.integers(1, 3), seed=st.integers(0, 10**6))
def test_parts_made_of_whole_chunks_say_what_the_whole_says(steps, length, games, seed):
    rng, M = np.random.default_rng(seed), steps * length * games
    policy = make_gru(1)
    theta, columns = rows_of(policy, 1, rng), chunked(steps * length, games, length)
    assert sorted(columns.ravel()) == list(range(M)) and (np.diff(columns, axis=0) == games).all()
    b = Transitions(obs=[rng.standard_normal((M, *VECTOR)).astype(np.float32)], own=[rng.integers(5, size=M)],
                    sequences=Sequences(columns, [rng.standard_normal((M // length, H)).astype(np.float32)],
                                        rng.random(M) < 0.3))
    whole, gradient = policy.log_prob(theta, b), policy.gradient(theta, b, np.ones((1, M))).copy()
    order, total = rng.permutation(columns.shape[1]), 0.0
    for chosen in np.array_split(order, 2):
        if len(chosen):
            part = columns[:, chosen].ravel()
            taken = b.take(part)
            np.testing.assert_allclose(policy.log_prob(theta, taken), whole[:, part], rtol=1e-4, atol=1e-6)
            total = total + policy.gradient(theta, taken, np.ones((1, len(part))))
            again = taken.take(taken.chunks[:, ::-1].ravel())
            turned = columns[:, chosen[::-1]].ravel()
            np.testing.assert_allclose(policy.log_prob(theta, again), whole[:, turned], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(total, gradient, rtol=1e-3, atol=1e-4)


CASES = {
    "happo": ("happo", {"minibatches": 2}, arena(late=True), {"normalise": {"observations": True}}),
    "hatrpo": ("hatrpo", {}, arena(actions="box"), {}),
    "mappo": ("mappo", {}, arena(), {}),
    "ippo": ("ippo", {"minibatches": 4}, arena(), {}),
    "jrppo": ("jrppo", {"parameters": "separate"}, arena(actions="mixed", extra=1), {}),
    "coma": ("coma", {"baseline": "optimal"}, arena(late=True), {}),
    "user": ("haa2c", {}, arena(actions="different"), {"policy": user()}),
    "alone": ("happo", {"chunk": 1}, arena(), {"agents": 1}),
}


def experiment(name: str) -> dict:
    """The tables of a case; games are 1 to 5 steps long."""
    algorithm, options, env, more = CASES[name]
    options = {"rollout": 8, "chunk": 4, "epochs": 2, "critic_epochs": 1,
               "team_reward": "mean", "actor_step": 0.01} | options
    return {"agents": 3, "iterations": 4, "seed": 5, "envs": 2, "env": env, "topology": "complete", "policy": GRU,
            "algorithm": {"name": algorithm, **options}, "log_every": 1, "checkpoint_every": 1, **more}


def parts_of(name: str):
    return assemble(prepare(read(experiment(name)).experiment()))


@pytest.mark.parametrize("actions", [False, True])
def test_rollouts_say_the_same_in_chunks_of_any_length(actions):
    """... as when the actions were drawn: memories, and where games begin anew, fit together; what a critic of actions
    is shown besides leaves them as they are."""
    found = {}
    for chunk in (1, 2, 8):
        parts = parts_of("mappo")
        theta, rollouts = parts.agents.parameters.theta, Rollouts(parts.sampler, 8, True, chunk, actions)
        theta += 0.5 * np.random.default_rng(0).standard_normal(theta.shape).astype(np.float32)
        kept, advance = [], parts.sampler.advance

        def watched(*arguments, kept=kept, advance=advance, **more):
            kept.append(advance(*arguments, **{**more, "keep": True}))     # which tells probabilities
            return kept[-1]

        parts.sampler.advance = watched
        for _ in range(2):
            kept.clear()
            b = rollouts.collect(theta)
        pi = [np.concatenate([step.pi[i] for step in kept]) for i in range(3)]
        found[chunk] = [pi.log_probabilities for pi in parts.agents.policy.distributions(theta, b.samples)]
        np.testing.assert_allclose(np.exp(found[chunk]), pi, rtol=1e-4, atol=1e-6)
        assert 0 < b.sequences.fresh.sum() < 16 and len(b.sequences.memory) == 3
        assert all(own.shape == (16 // chunk, H) for own in b.sequences.memory)
        without = replace(b.samples, sequences=replace(b.sequences, fresh=np.zeros(16, dtype=bool)))
        if chunk == 8:
            forgetful = parts.agents.policy.distributions(theta, without)[0].log_probabilities
            assert np.abs(forgetful - found[8][0]).max() > 1e-3
    for chunk in (1, 2):
        np.testing.assert_allclose(found[chunk], found[8], rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Every case's run folder with all its checkpoints, made in a single process, and what it came to."""
    folder, kept = tmp_path_factory.mktemp("runs"), checkpoints.KEPT
    checkpoints.KEPT = 1000
    try:
        return folder, {name: fingerprint(netac.run(experiment(name), out=folder / name)) for name in CASES}
    finally:
        checkpoints.KEPT = kept


def stopped(folders, name: str, iteration: int, folder: Path) -> Path:
    """A folder like that of a run killed before the first checkpoint after `iteration`."""
    whole, part = folders[0] / name, folder / name
    (part / "checkpoints").mkdir(parents=True)
    kept = [path for path in checkpoints.existing(whole / "checkpoints") if int(path.stem) <= iteration]
    for path in (*kept, whole / "experiment.toml", *whole.glob("*.csv")):
        (part / path.relative_to(whole)).write_bytes(path.read_bytes())
    return part


@pytest.mark.long
@pytest.mark.parametrize("processes", [2, 3])
def test_every_trainer_gives_the_same_bits(mpirun, folders, processes):
    done = mpirun(processes, [sys.executable, __file__])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == CASES.keys() - {"alone"}
    for name, run in found.items():
        assert run["fingerprint"] == folders[1][name], name


@pytest.mark.parametrize("name", CASES)
def test_runs_are_resumed_to_the_same_bits_amid_games(name, folders, tmp_path):
    for iteration in (1, 3):
        folder = stopped(folders, name, iteration, tmp_path / str(iteration))
        memory = checkpoints.newest(folder / "checkpoints")["rows_memory"]
        assert memory.dtype == np.float32 and memory.shape[0] == experiment(name)["agents"] and memory.any()
        assert fingerprint(netac.run(experiment(name), out=folder, resume=True)) == folders[1][name]


def test_runs_go_on_with_another_number_of_processes(mpirun, folders, tmp_path):
    for name in CASES:
        stopped(folders, name, 2, tmp_path)
    done = mpirun(2, [sys.executable, __file__, tmp_path])
    assert done.returncode == 0, done.stderr
    for name, run in json.loads(done.stdout).items():
        assert run["fingerprint"] == folders[1][name], name


def test_games_that_cannot_be_saved_begin_anew_without_memory(folders, monkeypatch):
    parts, kept = parts_of("mappo"), checkpoints.newest(folders[0] / "mappo" / "checkpoints")
    memory = parts.sampler.feeds[0].memory
    for resumable in (True, False):
        parts.sampler.environment.resumable = resumable
        parts.sampler.rows["memory"][:] = kept["rows_memory"]
        parts.restore(kept)
        assert memory.any() == resumable


def recall(policy: dict, **options) -> dict:
    """Two agents that learn to repeat what they saw."""
    steps = {"actor_step": 0.01, "critic_step": 0.01, "entropy": 0.001, "minibatches": 1, "epochs": 4, "gamma": 0.0,
             "gae_lambda": 0.0}
    return {"agents": 2, "iterations": 30, "envs": 16, "env": {"factory": "test_recurrent:Recall", "folder": HERE},
            "topology": "complete", "policy": policy, "critic": {"name": "mlp", "hidden": [8]},
            "algorithm": {"name": "ippo", "rollout": 40, "chunk": 5, "parameters": "shared", **steps, **options}}


@pytest.fixture(scope="module")
def learned(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recall")
    netac.run(recall({"name": "gru", "hidden": [], "units": 8}), out=folder / "gru")
    netac.run(recall({"name": "mlp", "hidden": [16]}), out=folder / "mlp")
    return folder


def test_only_a_policy_with_memory_solves_a_task_of_memory(learned):
    """Right in all of the 19 steps of 20 that have one before them, against one half of them by guessing."""
    played = {name: netac.evaluate(learned / name, episodes=20).summary()["episode_return"] for name in ("gru", "mlp")}
    assert played["gru"] > 18.0 and 8.0 < played["mlp"] < 11.0


def test_a_loaded_policy_remembers_until_it_is_reset(learned):
    policies, rng = netac.load(learned / "gru", greedy=True), np.random.default_rng(0)
    bits = rng.integers(2, size=30)

    def answers(policies, who):
        return [policies({name: np.array([2.0 * bit - 1.0]) for name in who})[who[0]] for bit in bits]

    first = answers(policies, policies.names)
    assert (np.array(first[1:]) == bits[:-1]).mean() > 0.95
    policies.reset()
    assert answers(policies, policies.names) == first == answers(netac.load(learned / "gru", greedy=True),
                                                                 policies.names)
    policies({name: np.array([1.0]) for name in policies.names})
    told, other = policies.names
    policies({told: np.array([-1.0])})
    kept = policies({other: np.array([1.0])})[other], policies({told: np.array([1.0])})[told]
    assert kept == (1, 0)                  # of the last bit that each was shown itself
    netac.load(learned / "mlp").reset()


def test_critics_are_feed_forward():
    setting = prepare(read(experiment("mappo")).experiment())
    tables = setting.experiment.tables()
    assert tables["policy"]["name"] == "gru" and tables["policy"]["units"] == 4
    assert tables["critic"]["name"] == "mlp" and tables["critic"]["hidden"] == [5, 4]
    assert "cell.weight_hh 12 x 4" in setting.model.describe()


REFUSED = {
    "decentralized": ({"algorithm": "cac"}, "policy.name", ["found 'gru'", '"mlp", "cnn", or a trainer']),
    "decentralized, a user's": ({"algorithm": "dac", "policy": user()}, "policy.factory", ["Elman", '"mlp", "cnn"']),
    "critic": ({"critic": "gru"}, "critic.name", ["no memory", "found 'gru'", '"mlp"']),
    "critic of a user's": ({"critic": user()}, "critic.factory", ["no memory", "Elman"]),
    "chunk": ({"algorithm": {"name": "mappo", "rollout": 8, "chunk": 3, "team_reward": "mean"}}, "algorithm.chunk",
              ["found 3", "divisor of algorithm.rollout = 8"]),
    "minibatches": ({"algorithm": {"name": "mappo", "rollout": 8, "chunk": 4, "minibatches": 8, "team_reward": "mean"}},
                    "algorithm.minibatches", ["4 chunks", "found 8"]),
    "misspelt": ({"policy": GRU | {"unit": 8}}, "policy.unit", ["did you mean 'units'"]),
    "outputs alone": ({"policy": user(fault="outputs")}, "policy",
                      ["`memory`", "a Tensor", "(outputs, memory)", "(3, 3)"]),
    "memory of another size": ({"policy": user(fault="size")}, "policy", ["(3, 2)", "(3, 3)"]),
    "games that mix": ({"policy": user(fault="batch")}, "policy", ["treats every sample by itself"]),
    "unlike memories": ({"policy": user(extra=2), "env": arena(extra=2),
                         "algorithm": {"name": "mappo", "parameters": "separate", "team_reward": "mean"}}, "policy",
                        ["differently many", "found '3, 5'"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case):
    tables, key, told = REFUSED[case]
    with pytest.raises(InputError) as caught:
        prepare(read(experiment("mappo") | tables).experiment())
    assert caught.value.key == key
    for part in told:
        assert part in str(caught.value), str(caught.value)


def test_networks_without_memory_need_no_chunks():
    tables = experiment("mappo") | {"policy": {"name": "mlp", "hidden": [4]}}
    tables["algorithm"] |= {"chunk": 3}
    netac.run(tables)


if __name__ == "__main__":
    run_every(CASES, experiment, (), sys.argv[1:])
