"""Agents with different spaces: where a default cannot hold and one choice is left, it is taken, and a note says so."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("pettingzoo")

from support.neural_variants import SAMPLER, arena

import netac
from netac.experiment import config
from netac.experiment.build import Setting
from netac.experiment.run import checked_setting

TAG = {"factory": "mpe2.simple_tag_v3:parallel_env", "kwargs": {"max_cycles": 5}}     # its prey sees two numbers less
LIKE = arena()
SEEING = arena(extra=2)
ACTING = arena(actions="different")
BLIND = SAMPLER                                                                        # no global state
SHAREABLE = ("mappo", "ippo", "jrppo", "coma", "vdn", "qplex")
MIXING = ("cac", "dac", "mdac", "dnac")


def prepared(env: dict, algorithm: str, agents: int = 3, policy: dict | None = None, critic: dict | None = None,
             **options) -> Setting:
    """The experiment, checked and complete."""
    tables = {"agents": agents, "iterations": 1, "env": env, "topology": "complete",
              "policy": {"name": "mlp", "hidden": [4]} | (policy or {}),
              "critic": critic or {}, "algorithm": {"name": algorithm, **options}}
    return checked_setting(config.read(tables))


@pytest.mark.parametrize("env", [SEEING, ACTING], ids=["observations", "actions"])
@pytest.mark.parametrize("algorithm", SHAREABLE)
def test_trainers_give_unlike_agents_parameters_of_their_own(algorithm, env):
    found = prepared(env, algorithm)
    assert found.settings.parameters == found.experiment.tables()["algorithm"]["parameters"] == "separate"
    assert any("cannot share the layer" in note and 'algorithm.parameters = "separate"' in note for note in found.notes)
    assert found.layout.shared == 0
    assert not any("parameters" in note for note in prepared(env, algorithm, parameters="separate").notes)
    with pytest.raises(netac.InputError, match=r'algorithm.parameters: .*found .shared.; valid: "separate"'):
        prepared(env, algorithm, parameters="shared")


@pytest.mark.parametrize("algorithm", SHAREABLE)
def test_agents_that_are_alike_share_unless_they_are_told_otherwise(algorithm):
    found = prepared(LIKE, algorithm)
    assert found.settings.parameters == "shared" and not any("parameters" in note for note in found.notes)
    assert found.layout.shared == found.layout.theta > 0
    assert prepared(LIKE, algorithm, parameters="separate").layout.shared == 0


def test_cac_shares_nothing_of_unlike_policies_and_says_so():
    found = prepared(ACTING, "cac")
    assert found.layout.shared == 0 and "policy.shared = []" in found.notes[0] and len(found.notes) == 1
    assert found.experiment.tables()["policy"]["shared"] == []
    assert not prepared(ACTING, "cac", policy={"shared": []}).notes
    assert prepared(ACTING, "cac", policy={"shared": ["dense*"]}).layout.shared > 0
    with pytest.raises(netac.InputError, match=r"^policy.shared: .*found \['\*'\]; valid: .*\[\] for none"):
        prepared(ACTING, "cac", policy={"shared": ["*"]})


@pytest.mark.parametrize("algorithm", ["iac", "dac", "mdac", "dnac"])
def test_algorithms_that_mix_no_policies_do_not_ask_what_is_shared(algorithm):
    for policy in ({}, {"shared": ["*"]}):
        assert not prepared(ACTING, algorithm, policy=policy).notes


@pytest.mark.parametrize("algorithm", MIXING)
def test_critics_of_agents_that_see_different_things_see_the_state(algorithm):
    found = prepared(SEEING, algorithm, policy={"shared": []})
    assert found.model.critic.sees == "state" and found.experiment.tables()["critic"]["sees"] == "state"
    assert len(found.notes) == 1 and 'critic.sees = "state"' in found.notes[0]
    with pytest.raises(netac.InputError, match=rf'critic.sees: .*{algorithm} mixes critics.*valid: "state", or algo'):
        prepared(SEEING, algorithm, policy={"shared": []}, critic={"sees": "own"})
    with pytest.raises(netac.InputError, match=r'an environment with a global state, or algorithm.name = "iac"'):
        prepared(BLIND, algorithm, agents=5, policy={"shared": []})
    assert not prepared(BLIND, "iac", agents=5).notes and not prepared(SEEING, "iac").notes


@pytest.mark.parametrize("algorithm", [*SHAREABLE, *MIXING, "iac", "matrpo", "happo", "hatrpo", "maddpg",
                                       "haddpg"])
def test_simple_tag_runs_as_it_comes(algorithm):
    options = {"rollout": 10} if algorithm in (*SHAREABLE, "matrpo", "happo", "hatrpo", "maddpg", "haddpg") else {}
    tables = {"agents": 4, "iterations": 2, "env": TAG, "topology": "complete", "policy": "mlp",
              "algorithm": {"name": algorithm, **options}}
    assert netac.run(tables).summary["iterations"] == 2
