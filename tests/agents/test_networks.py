"""Networks as agents: which are together, which differ, what is shared; built-in and users' modules, and refusals."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.networks import BOX, CNN, IMAGE, KINDS, MLP, VECTOR, F, make_critic, make_policy, names, rows_of, samples
from support import user_networks

from netac.agents.alignment import aligned
from netac.agents.networks import cnn, mlp
from netac.agents.networks._factory import make_module, read_network, try_out
from netac.agents.networks._images import Images, after
from netac.agents.neural.critics import neural_critic
from netac.agents.neural.policies import neural_policy
from netac.agents.transitions import Transitions
from netac.experiment import config
from netac.experiment.build import prepare
from netac.experiment.neural_agents import NetworkCritic, read_part
from netac.utils.errors import InputError
from netac.utils.spaces import ActionSpace


def shifted(rows):
    """The same numbers, 12 bytes after a multiple of 64."""
    found = aligned(1, 3 + rows.size)[0, 3:].reshape(rows.shape)
    found[:] = rows
    return found


@pytest.mark.parametrize("M", [1, 2, 16])
@pytest.mark.parametrize(("spec", "observation", "space"), KINDS)
def test_bits_do_not_depend_on_which_agents_are_together(spec, observation, space, M):
    rng, N = np.random.default_rng(M), 4
    policy = make_policy(N, spec, observation, space, shared=["*1.*"], entropy=0.1)
    V, R, Q = (make_critic(what, N, spec, observation) for what in ("state_value", "reward_model", "action_value"))
    together = [rows_of(part, N, rng) for part in (policy, V, R, Q)]
    obs, after = ([np.split(rng.standard_normal((N, M, *observation)).astype(np.float32), N)[i][0] for i in range(N)]
                  for _ in range(2))
    u, joint, r = rng.random((N, M, 3)), rng.random((M, F)), rng.standard_normal((N, M))
    h = rng.standard_normal(together[0].shape)

    def everything(agents, place):
        theta, omega, lam, q = (place(rows[agents.start:agents.stop]) for rows in together)
        own_policy, own_V, own_R, own_Q = (part.of(agents) for part in (policy, V, R, Q))
        seen, later = ([place(own[None])[0] for own in part[agents.start:agents.stop]] for part in (obs, after))
        own, pi = own_policy.act(theta, seen, u[agents.start:agents.stop])
        b = Transitions(seen, later, seen, later, own, pi, [joint] * len(agents), r[agents.start:agents.stop],
                        next_joint=[joint] * len(agents))
        found = [np.stack(own), own_V(omega, b), own_V.next(omega, b), own_R(lam, b), own_V.gradient(omega, b, b.r),
                 own_R.gradient(lam, b, b.r), own_Q.next(q, b),
                 own_policy.score_products(theta, b, h[agents.start:agents.stop]), own_policy.gradient(theta, b, b.r)]
        if space.n_actions:
            b.alternatives = [np.broadcast_to(joint[:, None], (M, 5, F)) for _ in agents]
            found.append(own_Q.expected(q, b))
        return found

    whole = everything(range(N), lambda rows: rows)
    for agents in (range(0, 1), range(1, 3), range(3, 4)):
        for place in (np.array, shifted):
            for one, other in zip(whole, everything(agents, place), strict=True):
                np.testing.assert_array_equal(one[agents.start:agents.stop], other)


def differing():
    return [(4,), (4,), (6,)], [ActionSpace(2), BOX, ActionSpace(3)]


def test_agents_that_differ_are_padded():
    shapes, spaces = differing()
    policy = neural_policy(MLP, shapes, spaces, names(3), ["dense2*"])
    rng, (one, two, three) = np.random.default_rng(0), policy.networks.tensors
    assert policy.shared == 7 * 8 + 8 == one.sizes[0] == two.sizes[0] == three.sizes[0]
    assert policy.size == policy.shared + max(own.sizes[1] for own in (one, two, three))
    assert list(two.shapes)[:2] == ["dense2.weight", "dense2.bias"] and list(two.shapes)[-1] == "log_std"
    theta = rows_of(policy, 3, seed=4)
    theta[:, policy.shared:] += 0.0
    b = samples(rng, policy, theta, shapes, 5)
    gradient = policy.gradient(theta, b, b.r)
    for i, own in enumerate((one, two, three)):
        assert not theta[i, sum(own.sizes):].any() and not gradient[i, sum(own.sizes):].any()
        assert gradient[i, :sum(own.sizes)].any()
        np.testing.assert_array_equal(theta[i, :policy.shared], theta[0, :policy.shared])
    alone = policy.of(range(1, 2))
    alone.act(theta[1:2], b.obs[1:2], np.zeros((1, 5, 3)))
    cut = Transitions(b.obs[1:2], b.obs[1:2], b.obs[1:2], b.obs[1:2], b.own[1:2], b.pi[1:2], b.joint, b.r[1:2])
    np.testing.assert_array_equal(alone.gradient(theta[1:2], cut, b.r[1:2])[0], gradient[1])
    told = policy.describe()
    assert (all(f"agent {i}: " in told for i in range(3))
            and "log_std 3" in told and "shared (64): dense2.weight 8 x 7" in told)


def test_layers_that_differ_are_not_shared():
    shapes, spaces = differing()
    with pytest.raises(InputError) as caught:
        neural_policy(MLP, shapes, spaces, names(3), ["dense1*"])
    assert str(caught.value) == ("policy.shared: agent 0 (hunter_0) and agent 2 (hunter_2) cannot share the layer "
                                 "dense1.weight, which is (7, 4) in the first and (7, 6) in the second")
    with pytest.raises(InputError,
                       match=r"agent 1 \(hunter_1\) .*log_std, which is missing in the first and \(3,\) in"):
        neural_policy(MLP, shapes, spaces, names(3), ["log_std"])
    with pytest.raises(InputError, match=r"^critic: .*agent 2 \(hunter_2\)"):
        neural_critic("state_value", MLP, shapes, names(3), F, mixed=True)
    assert neural_critic("state_value", MLP, shapes, names(3), F, mixed=False).size == 7 * 6 + 7 + 7 * 8 + 8 + 8 + 1


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(InputError, match=r"policy.shared: the pattern matches no parameter .*'conv\*'.*dense1.weight"):
        make_policy(2, shared=["dense1*", "conv*"])


def test_what_is_shared_comes_first_and_is_told():
    policy = make_policy(2, CNN, IMAGE, shared=["conv*"])
    assert list(policy.networks.tensors[0].shapes) == ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                                       "output.weight", "output.bias"]
    assert policy.shared == 4 * 27 + 4 + 5 * 36 + 5 and policy.size == policy.shared + 5 * 45 + 5
    assert make_policy(2, shared=[]).shared == 0
    assert next(iter(make_policy(1, shared=["output*"]).networks.tensors[0].shapes)) == "output.weight"
    assert policy.describe() == ("policy: 527 parameters\n  shared (297): conv1.weight 4 x 27, conv1.bias 4 x 1, "
                                 "conv2.weight 5 x 36, conv2.bias 5 x 1\n"
                                 "  personal (230): output.weight 5 x 45, output.bias 5")


def test_tied_and_idle_layers():
    rng = np.random.default_rng(0)
    policy = make_policy(2, {"factory": "support.user_networks:Tied"})
    theta = rows_of(policy, 2)
    b = samples(rng, policy, theta, [VECTOR] * 2, 3)
    places, gradient = policy.networks.tensors[0].places, policy.gradient(theta, b, b.r)
    assert "again.weight" not in places and gradient[:, places["first.weight"]].any()
    assert not gradient[:, places["idle.weight"]].any()
    assert np.isfinite(policy.score_products(theta, b, gradient)).all()


def test_initial_values(monkeypatch):
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    monkeypatch.setattr(torch, "manual_seed", None)         # it would seed GPUs, too
    policy, V = make_policy(3, shared=["dense*"]), make_critic("state_value", 3)
    rows, shared = policy.initial(11, range(3)), policy.shared
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0, :shared], rows[2, :shared])
    assert not np.allclose(rows[0, shared:], rows[1, shared:])
    np.testing.assert_array_equal(policy.initial(11, range(1, 3)), rows[1:])
    assert not np.allclose(policy.initial(12, range(3))[0], rows[0])
    omega = V.initial(11, range(3))
    np.testing.assert_array_equal(omega[0], omega[2])
    apart = make_policy(3, shared=["dense*"], initial="independent").initial(11, range(3))
    assert not np.allclose(apart[0, :shared], apart[1, :shared])
    np.testing.assert_array_equal(apart[1, shared:], rows[1, shared:])
    gaussian = make_policy(2, space=BOX, log_std=0.25)
    np.testing.assert_array_equal(gaussian.initial(0, range(2))[:, gaussian.networks.tensors[0].places["log_std"]],
                                  0.25)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_initial_weights_are_orthogonal_with_a_small_output():
    policy = make_policy(1, MLP)
    row, places = policy.initial(0, range(1))[0], policy.networks.tensors[0].places
    weight = row[places["dense2.weight"]].reshape(8, 7)
    np.testing.assert_allclose(weight.T @ weight, (5 / 3)**2 * np.eye(7), atol=1e-5)
    out = row[places["output.weight"]].reshape(5, 8)
    np.testing.assert_allclose(out @ out.T, 1e-4 * np.eye(5), atol=1e-7)


@pytest.mark.parametrize(("kind", "told"), [
    ("nothing", "Identity has no parameters"), ("no module", r"policy.factory: .*no torch.nn.Module"),
    ("raises", "failed: ZeroDivisionError"), ("double", r"layers.0.weight is torch.float64.*module.float\(\)"),
    ("other input", r"forward fails on a batch of 3.*takes \(3, 6\) and gives \(3, 5\)"),
    ("other output", r"gives \(3, 6\) for input \(3, 6\) \(valid: \(3, 5\)\)"), ("pair", "gives a tuple"),
    ("infinite", "not finite"), ("detached", "requires_grad = False"),
    ("batch norm", "'layers.0', BatchNorm1d.*LayerNorm"),
    ("dropout", "'layers.1', Dropout"), ("lazy", "lazy"), ("noise", "randomness outside"),
    ("functional dropout", "when called again with the same input.*no dropout"),
    ("dropout before zeros", "when called again"), ("batch mean", "3 samples together than one by one.*dimension 0"),
    ("batch mean before zeros", "than one by one"),
    ("squeezed batch", r"gives \(5,\) for input \(1, 6\) \(valid: \(1, 5\): leave out the squeeze"),
    ("two at least", "forward fails on a batch of 1: IndexError"),
    ("old weight norm", "cannot be copied.*parametrizations"),
    ("detached copy", r"depend on map.weight, which.*not copies of them"),
    ("kept product", "cannot be copied.*made in forward"),
    ("idle", r"depend on idle.weight, idle.bias, which would never be trained.*requires_grad_\(False\)"),
    ("exit", "policy.factory: failed: SystemExit: 0"), ("later exit", "forward fails on a batch of 3: SystemExit: 3"),
    ("in place", "forward changes its input"), ("counting", "changes a buffer")])
def test_modules_that_cannot_serve(kind, told):
    with pytest.raises(InputError, match=told) as caught:
        make_policy(1, {"factory": "support.user_networks:broken", "kwargs": {"kind": kind}})
    assert str(caught.value).startswith("policy")


@pytest.mark.parametrize("layer", [
    torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(6, 6)), torch.nn.LayerNorm(6),
    torch.nn.Embedding(2, 6),
    torch.nn.Sequential(torch.nn.Unflatten(1, (2, 3)), torch.nn.GroupNorm(2, 2), torch.nn.Flatten())])
def test_modules_that_can_serve(layer):
    def forward(layers, x):
        return layers[1](layers[0](x.long()[:, 0] if isinstance(layer, torch.nn.Embedding) else x))
    module = user_networks.Given([layer, torch.nn.Linear(6, 5)], forward)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    try_out(module, read_network({"factory": "some:Net"}, "policy"), VECTOR, 5, key="policy")
    assert all(map(torch.equal, before, module.parameters()))


def test_a_frozen_layer_stays_as_it_is():
    policy = make_policy(2, {"factory": "support.user_networks:Frozen"})
    theta = rows_of(policy, 2)
    b = samples(np.random.default_rng(0), policy, theta, [VECTOR] * 2, 3)
    places, gradient = policy.networks.tensors[0].places, policy.gradient(theta, b, b.r)
    assert not gradient[:, places["fixed.weight"]].any() and gradient[:, places["map.weight"]].any()


def test_a_squeezed_output_is_told_to_stay():
    with pytest.raises(InputError, match=r"^critic: .*gives \(3,\) for input \(3, 6\).*leave out the squeeze"):
        make_critic("state_value", 1,
                    {"factory": "support.user_networks:broken", "kwargs": {"kind": "squeezed", "outputs": 1}})


@pytest.mark.parametrize(("spec", "observation", "told"), [
    ({"factory": "no_such_module:Net"}, VECTOR, "policy.factory: cannot be imported: ModuleNotFoundError"),
    ({"factory": "support.user_networks:Missing"}, VECTOR, "policy.factory: cannot be imported: AttributeError"),
    ({"factory": "support.user_networks:Counting", "kwargs": {"depth": 3}}, VECTOR,
     r"policy.kwargs: cannot be called: .*depth"),
    ({"name": "mpl"}, VECTOR, r"policy.name: .*did you mean 'mlp'"),
    ({"name": "mlp", "hiden": [3]}, VECTOR, r"policy.hiden: unknown key \(did you mean 'hidden'"),
    ({"name": 5}, VECTOR, r"policy.name: should be a name \(found 5; valid: cnn, gru, mlp, transformer"),
    ({"name": "cnn"}, VECTOR, r'policy: cnn needs an image .*\(6,\).*"mlp"'),
    ({"name": "cnn"}, (4, 4, 2), r"policy: the image is too small for convolution 2, which gets 2 x 2 pixels")])
def test_networks_that_cannot_be_made(spec, observation, told):
    with pytest.raises(InputError, match=told):
        make_policy(1, read_network(spec, "policy"), observation)


@pytest.mark.parametrize(("tables", "critic", "model"), [
    ({}, {"hidden": [6]}, {"hidden": [6]}),
    ({"policy": {"name": "mlp", "hidden": []}}, {"hidden": []}, {"hidden": [64]}),
    ({"critic": {"sees": "own"}}, {"hidden": [6]}, {"hidden": [6]}),
    ({"critic": {"activation": "relu"}}, {"hidden": [6], "activation": "relu"}, {"hidden": [6], "activation": "relu"}),
    ({"critic": "mlp"}, {"hidden": [64, 64]}, {"hidden": [64, 64]}),
    ({"critic": {"hidden": [3]}, "reward_model": {"activation": "elu"}}, {"hidden": [3]},
     {"hidden": [3], "activation": "elu"}),
    ({"reward_model": {"hidden": [8]}}, {"hidden": [6]}, {"hidden": [8]}),
    ({"reward_model": {"hidden": []}}, {"hidden": [6]}, {"hidden": []}),
    ({"policy": {"factory": "support.user_networks:Counting"}}, {"hidden": [64, 64]}, {"hidden": [64, 64]}),
    ({"policy": {"factory": "support.user_networks:Counting"}, "critic": {"hidden": [4]}}, {"hidden": [4]},
     {"hidden": [4]})])
def test_what_is_not_said_of_a_critic_is_as_in_the_policy(tables, critic, model):
    base = {"agents": 2, "iterations": 1, "env": "coordination", "topology": "path", "algorithm": "cac",
            "policy": {"name": "mlp", "hidden": [6]}}
    made = prepare(config.read(base | tables).experiment()).experiment
    usual = {"name": "mlp", "activation": "tanh"}
    assert made.critic == usual | {"sees": "own", "joint": "own-first"} | critic
    assert made.reward_model == usual | model
    assert prepare(config.read(made.tables()).experiment()).experiment == made


def test_a_critic_that_sees_vectors_beside_a_policy_that_sees_images():
    hunt = {"agents": 2, "iterations": 1, "topology": "path", "algorithm": "cac", "policy": CNN,
            "env": {"name": "pursuit", "x_size": 6, "y_size": 6, "n_evaders": 2}}
    setting = prepare(config.read(hunt | {"critic": {"sees": "state"}}).experiment())
    made, policy = setting.experiment, setting.model.parts["policy"].network
    assert made.critic["name"] == "cnn" and made.critic["channels"] == CNN["channels"]
    assert read_part(NetworkCritic, {"sees": "state"}, policy, (9,), "critic").network.name == "mlp"


def test_reward_models_of_a_users_own():
    R = neural_critic("reward_model", {"factory": "support.user_networks:Wide", "kwargs": {"scale": 2.0}}, [VECTOR],
                      names(1), F, True)
    assert R.size == 6 + F + 1
    with pytest.raises(InputError, match=r"reward_model.factory: the class does not take `joint`"):
        make_critic("reward_model", 1, {"factory": "support.user_networks:Counting"})


def test_a_network_has_its_defaults_filled_in():
    dense = {"name": "mlp", "hidden": [], "activation": "tanh"}
    assert read_network({"name": "mlp", "hidden": []}, "policy").table() == dense
    assert read_network({"factory": "a:B"}, "critic").table() == {"factory": "a:B", "kwargs": {}, "folder": None}


@pytest.mark.parametrize("hidden", [[], [3]])
@pytest.mark.parametrize("activation", ["tanh", "relu", "elu", "silu", "gelu"])
def test_every_mlp_can_serve(hidden, activation):
    spec = {"name": "mlp", "hidden": hidden, "activation": activation}
    module = mlp.make(mlp.Settings(hidden=hidden, activation=activation), (2, 3), 4, joint=2)
    try_out(module, read_network(spec, "critic"), (2, 3), 4, key="critic", joint=2)
    assert len(list(module.parameters())) == 2 * len(hidden) + 2


def test_without_torch_the_extra_is_named_and_nothing_else_needs_it():
    program = ("import sys; sys.modules['torch'] = None\nfrom netac.utils import plugins\n"
               "from netac.utils.errors import InputError\n"
               "assert plugins.module_names('netac.agents.networks') == ['cnn', 'gru', 'mlp', 'transformer']\n"
               "import netac.agents.distributions, netac.agents.neural, netac.sampling.rollout\n"
               "try:\n    import netac.agents.neural.policies\nexcept InputError as error:\n    print(error)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert 'pip install "netac[torch]"' in done.stdout, done.stderr


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), height=st.integers(1, 8), width=st.integers(1, 8), depth=st.integers(1, 4),
       kernel=st.integers(1, 3), stride=st.integers(1, 2), padding=st.integers(0, 2))
def test_a_convolution_is_torchs(seed, height, width, depth, kernel, stride, padding):
    if min(height, width) + 2 * padding < kernel:
        return
    torch.manual_seed(seed)
    sizes = ((height, width), after((height, width), kernel, stride, padding))
    layer = cnn.Convolution(depth, 3, Images((height, width, depth), False, sizes, kernel, stride, padding), 0)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(depth, height, width, 2, requires_grad=True)
    expected = torch.nn.functional.conv2d(x.permute(3, 0, 1, 2), layer.weight.view(3, depth, kernel, kernel),
                                          layer.bias[:, 0], stride, padding).permute(1, 2, 3, 0)
    found, pull = layer(x.flatten(1)).view(expected.shape), torch.randn_like(expected)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    wanted = (x, layer.weight, layer.bias)
    for one, other in zip(torch.autograd.grad(found, wanted, pull),
                          torch.autograd.grad(expected, wanted, pull), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "layout", "first"), [
    ((7, 7, 3), "auto", False), ((3, 7, 7), "auto", True), ((7, 7, 7), "auto", False),
    ((3, 7, 7), "channels-first", True), ((7, 7), "auto", False), ((7, 7, 3), "channels-last", False)])
def test_layouts_of_images(shape, layout, first):
    module = make_module(read_network(CNN | {"layout": layout}, "policy"), shape, 5, key="policy", seed=1)
    x = torch.randn(4, *shape)
    last = x.permute(0, 2, 3, 1).contiguous() if first else x.view(4, 7, 7, -1)
    told = read_network(CNN | {"layout": "channels-last"}, "policy")
    same = make_module(told, tuple(last.shape[1:]), 5, key="policy", seed=1)
    assert torch.equal(module(x), same(last))
