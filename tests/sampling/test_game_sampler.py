"""Games side by side: who steps them, joint actions as numbers, batches put together and cut, episodes counted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs.arena import SPACES, Arena, Saved

import netac
from netac.agents.normalisation import RewardNormaliser
from netac.agents.transitions import Transitions
from netac.comm.ledger import Ledger
from netac.comm.placement import Placement
from netac.envs import ActionSpace, check, check_batched, matrix
from netac.envs.coordination import CoordinationGame
from netac.experiment import config
from netac.experiment.build import assemble, prepare
from netac.sampling.encoding import Encoding
from netac.sampling.hosts import AtRoot, Replicated
from netac.sampling.tally import Episodes
from netac.utils.errors import InputError
from netac.utils.spaces import joint_space


class End:
    """One process's end of a communicator whose processes take turns, process 0 first."""

    def __init__(self, rank, wire):
        self._rank, self._wire = rank, wire

    def Scatterv(self, sent, received, root):    # noqa: N802
        if self._rank == root:
            nbytes, counts = sent
            assert sum(counts) == nbytes.size
            self._wire[:] = np.split(nbytes, np.cumsum(counts)[:-1])
        received[:] = self._wire[self._rank]


def joint_action(rng, spaces, games, allowed=None):
    joint = joint_space(spaces)
    masks = [None if allowed is None else allowed[:, joint.columns(i)] for i in range(len(spaces))]
    return joint.stack([space.random(rng, games, mask) for space, mask in zip(spaces, masks, strict=True)],
                       range(len(spaces)))


def assert_same(one, other):
    for field in dataclasses.fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name == "view":
            assert_same(mine, theirs)
        elif field.name not in ("team", "measured"):
            assert (mine is None) == (theirs is None)
            mine, theirs = (each if isinstance(each, list) else [each] for each in (mine, theirs))
            for left, right in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(left, right, err_msg=field.name)
                assert left is None or left.dtype == right.dtype


@settings(max_examples=40)
@given(data=st.data(), agents=st.integers(1, 5), games=st.integers(1, 4), state=st.booleans(), extra=st.integers(0, 2),
       actions=st.sampled_from(sorted(SPACES)), late=st.booleans(), masks=st.booleans())
def test_process_0_shows_everyone_what_stepping_the_games_would_show(data, agents, games, state, extra, actions, late,
                                                                     masks):
    processes = data.draw(st.integers(1, agents))
    options = {"actions": actions, "extra": extra, "late": late, "length": 3, "masks": masks}
    wire, rng = [None] * processes, np.random.default_rng(0)
    ledgers = [Ledger(agents) for _ in range(processes)]
    placements = [Placement(agents, processes, rank) for rank in range(processes)]
    told = [AtRoot(Arena(agents, games, **options), placements[rank], ledgers[rank], state, End(rank, wire))
            for rank in range(processes)]
    shown = [Replicated(Arena(agents, games, **options), placement.local, state) for placement in placements]
    spaces = Arena(agents, games, **options).actions
    for one, other in zip(told, shown, strict=True):
        view = other.begin(3, 1)
        assert_same(one.begin(3, 1), view)
        assert (view.allowed is None) == (not masks)
    for _ in range(8):
        joint = joint_action(rng, spaces, games, view.allowed)
        for rank, (one, other) in enumerate(zip(told, shown, strict=True)):
            mine, theirs = one.step(joint), other.step(joint)
            if rank == 0:
                assert_same(mine.everyone, theirs.everyone)
            assert rank == 0 or mine.everyone is None
            mine.everyone = theirs.everyone = None
            assert_same(mine, theirs)
            np.testing.assert_array_equal(mine.team, theirs.team if rank == 0 else np.zeros(games))
            done, view = theirs.done, theirs.view
        if done.any():
            for one, other in zip(told, shown, strict=True):
                view = other.restart(done)
                assert_same(one.restart(done), view)
    assert [ledger.wire_bytes > 0 for ledger in ledgers] == [processes > 1, *[False] * (processes - 1)]
    assert all(ledger.wire_messages % (processes - 1 or 1) == 0 for ledger in ledgers)


def test_process_0_keeps_the_games():
    wire = [None, None]
    ends = [AtRoot(Saved(2, 3), Placement(2, 2, rank), Ledger(2), True, End(rank, wire)) for rank in range(2)]
    for end in ends:
        end.begin(0, 0)
    for end in ends:
        view = end.step(np.ones((2, 3), dtype=int)).view
    kept = [end.get_state() for end in ends]
    assert kept[1] == {} and kept[0]["x"].shape == (3, 3)
    again = [AtRoot(Saved(2, 3), Placement(2, 2, rank), Ledger(2), True, End(rank, wire)) for rank in range(2)]
    for end in again:
        end.begin(0, 0)
    views = [end.set_state(kept[0]) for end in again]
    assert_same(views[1], view)


def test_games_that_leave_out_what_they_may():
    games = Replicated(Arena(1, 2), range(1), False)
    first = games.begin(0, 0)
    assert games.get_state() == {}
    assert_same(games.set_state({}), first)
    games.close()


@pytest.mark.parametrize("late", [False, True])
def test_for_whom_what_comes_has_a_value(late):
    """Of two that end at once or never, in games of three steps: who is truncated has one, who terminated none."""
    for falls, valued in ((2.0, [[True] * 3, [True] * 3]), (-2.0, [[False], [False]])):
        games = Replicated(Arena(2, 1, length=3, falls=falls, late=late), range(2), False)
        games.begin(0, 0)
        for step, wanted in enumerate(zip(*valued, strict=True)):
            outcome = games.step(np.zeros((2, 1), dtype=int))
            gone = late and step == 2 and falls > 0       # agent 0 was truncated in the step before this one
            assert outcome.valued[:, 0].tolist() == [wanted[0] and not gone, wanted[1]]
        assert outcome.done.all() and not outcome.view.active.any()


@pytest.mark.parametrize("hosted", [False, True])
def test_nothing_comes_after_games_that_end_for_all_although_all_will_play_the_next(hosted):
    """Matrix games are terminated after their horizon, and all agents are active in every step."""
    made, wire = [matrix.make(matrix.Settings(game="climbing", horizon=3), 2, 2) for _ in range(2)], [None, None]
    ends = [Replicated(made[0], range(2), False)] if not hosted else [
        AtRoot(made[rank], Placement(2, 2, rank), Ledger(2), False, End(rank, wire)) for rank in range(2)]
    for end in ends:
        end.begin(0, 0)
    for step in range(3):
        for end in ends:
            outcome = end.step(np.zeros((2, 2), dtype=int))
            assert outcome.valued.tolist() == [[step < 2] * 2] * 2 and outcome.done.tolist() == [step == 2] * 2
            assert outcome.view.active.all()


SPACE = st.sampled_from([ActionSpace(2), ActionSpace(5), ActionSpace(0, (-1.0,), (2.0,)),
                         ActionSpace(0, (-1.0, -float("inf")), (0.5, 1.0))])


@given(spaces=st.lists(SPACE, min_size=1, max_size=4), games=st.integers(1, 3), seed=st.integers(0, 1000))
def test_joint_actions_as_numbers(spaces, games, seed):
    rng = np.random.default_rng(seed)
    encoding, discrete = Encoding(tuple(spaces)), all(space.n_actions for space in spaces)
    joint = joint_action(rng, spaces, games)
    if not discrete:
        vectors = np.array([not space.n_actions for space in spaces])
        joint = joint + vectors[:, None, None] * rng.normal(size=joint.shape)         # outside their bounds, too
    active = rng.integers(2, size=(len(spaces), games)).astype(bool)
    within, encoded = encoding.joint.clip(joint), encoding(joint, active)
    assert encoded.shape == (games, encoding.size) and encoded.dtype == np.float32
    for e in range(games):
        told, order = [], []
        for i, space in enumerate(spaces):
            if space.n_actions:
                action = within[i, e] if discrete else within[i, e, 0]
                own = np.eye(space.n_actions)[int(action)]
            else:
                own = np.clip(joint[i, e, :space.size], space.low, space.high)
                np.testing.assert_array_equal(within[i, e, :space.size], own)
            told.append(own * active[i, e])
            order += [i] * space.outputs
        np.testing.assert_array_equal(encoded[e], np.concatenate(told).astype(np.float32))
        for i, space in enumerate(spaces):
            others = [told[j] for j in range(len(spaces)) if j != i]
            np.testing.assert_array_equal(encoding.own_first(encoded, i)[e],
                                          np.concatenate([told[i], *others]).astype(np.float32))
            if space.n_actions:
                replaced = encoding.alternatives(encoded, i)[e]
                assert replaced.shape == (space.n_actions, encoding.size)
                for b in range(space.n_actions):
                    mine = np.eye(space.n_actions)[b]
                    expected = np.concatenate([mine if j == i else told[j] for j in range(len(spaces))])
                    np.testing.assert_array_equal(replaced[b], expected.astype(np.float32))


def batch(rng, n, M, masked, dead, following):
    def numbers(*shape):
        return [rng.random((M, *shape, i + 1)) for i in range(n)]

    return Transitions(
        numbers(), numbers(), numbers(), numbers(), [rng.integers(3, size=M) for _ in range(n)],
        [None if i % 2 else rng.random((M, 3)) for i in range(n)], numbers(), rng.random((n, M)),
        rng.integers(2, size=(n, M)).astype(float) if masked else None, rng.random((n, M)) if dead else None,
        numbers() if following else None, numbers(4) if following else None)


def sample(b, k):
    """Sample k, masks that are not there filled in."""
    of = {each.name: getattr(b, each.name) for each in dataclasses.fields(b)}
    of = {name: np.ones(b.r.shape) if value is None and name in ("active", "bootstrap_mask") else value
          for name, value in of.items()}
    return {name: [None if own is None else own[k] for own in value] if isinstance(value, list) else
            value if value is None else value[:, k] for name, value in of.items()}


@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.booleans(), st.integers(0, 1000))
def test_batches_are_joined_and_cut(data, n, steps, E, following, seed):
    rng = np.random.default_rng(seed)
    masks = data.draw(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=steps, max_size=steps))
    single = [batch(rng, n, E, masked, dead, following) for masked, dead in masks]
    whole = Transitions.joined(single)
    assert (whole.active is None) == (not any(masked for masked, _ in masks))
    assert (whole.bootstrap_mask is None) == (not any(dead for _, dead in masks))
    for k in range(steps * E):
        np.testing.assert_equal(sample(whole, k), sample(single[k // E], k % E))
    size = data.draw(st.sampled_from([d for d in range(1, steps * E + 1) if steps * E % d == 0]))
    parts = list(whole.parts(size))
    assert len(parts) * size == steps * E
    for k in range(steps * E):
        np.testing.assert_equal(sample(parts[k // size], k % size), sample(whole, k))
    np.testing.assert_equal(dataclasses.asdict(Transitions.joined(parts)), dataclasses.asdict(whole))


@given(st.lists(st.lists(st.tuples(st.integers(-8, 8), st.sampled_from(["", "", "over", "cut"])),
                         min_size=3, max_size=3), max_size=30),
       st.sets(st.integers(0, 29)))
def test_episodes_are_counted_when_they_end(steps, asked):
    episodes = Episodes(np.zeros(3), np.zeros(3, dtype=np.int64))
    under_way, finished, taken = [[], [], []], [], []

    def check(told, finished):
        assert told == (len(finished), sum(sum(rewards) for rewards in finished), sum(map(len, finished)),
                        {"reward": sum(rewards[-1] for rewards in finished)} if finished else {})

    for t, step in enumerate(steps):
        reward, done, cut = (np.array(part) for part in (
            [float(x) for x, _ in step], [how == "over" for _, how in step], [how == "cut" for _, how in step]))
        episodes.add(reward, done, {"reward": reward} if done.any() else {})
        episodes.forget(cut)
        for e in range(3):
            under_way[e].append(reward[e])
            if done[e]:
                finished.append(under_way[e])
            if done[e] or cut[e]:
                under_way[e] = []
        if t in asked:
            taken.append(episodes.take())
            check(taken[-1], finished)
            finished = []
    check(episodes.take(), finished)
    assert episodes.take() == (0, 0.0, 0, {})
    assert episodes.lengths.tolist() == [len(rewards) for rewards in under_way]
    assert episodes.returns.tolist() == [sum(rewards) for rewards in under_way]


# --- the check of users' games ---

class Careless(Arena):
    """Breaks the promise `fault`."""

    def __init__(self, fault):
        super().__init__(2, 3)
        self.breaks = fault

    def observe(self, agents):
        shown = super().observe(agents)
        if self.breaks == "buffer":
            self.kept = getattr(self, "kept", shown)
            for kept, new in zip(self.kept, shown, strict=True):
                kept[:] = new
            return self.kept
        if self.breaks == "writes":
            for kept in getattr(self, "kept", []):
                kept += 1.0
            self.kept = shown
            return list(shown)
        if self.breaks == "views":
            self.kept = getattr(self, "kept", np.zeros((2, *shown[0].shape), dtype=np.float32))
            return list(self.kept)
        return shown

    def state(self):
        return self._x if self.breaks == "state" else super().state()

    def _anew(self, games):
        super()._anew(games)
        if self.breaks == "begin" or (self.breaks == "restart" and self._episodes.any()):
            self._x[:] = np.random.default_rng().random(self._x.shape)

    def step(self, actions):
        step = super().step(actions)
        if self.breaks == "step":
            step.r += np.random.default_rng().random(step.r.shape)
        return step


@pytest.mark.parametrize(("fault", "says"), [
    ("buffer", r"`observe \(agent 0\)` answers with the environment's own array"),
    ("writes", "the environment's own array"),
    ("views", "the environment's own array"), ("state", "`state` answers with the environment's own array"),
    ("begin", r"equal seeds give different games: `observe \(agent 0\)` differs"), ("step", "`step: r` differs"),
    ("restart", r"`observe \(agent 0\) after restart` differs")])
def test_games_that_break_a_promise_are_refused(fault, says):
    with pytest.raises(InputError, match=f"env: mine: .*{says}"):
        check_batched(Careless(fault), 2, 3, "mine")
    check_batched(Careless(""), 2, 3, "mine")


@pytest.mark.parametrize(("gamma", "good"),
                         [(None, True), (0, True), (0.5, True), (np.float32(0.9), True), (1.0, False),
                                             (1.5, False), (-0.1, False), (float("nan"), False), ("0.9", False),
                                             (True, False), ([0.9], False)])
def test_the_discount_an_environment_comes_with(gamma, good):
    for checked, game, more in ((check_batched, Arena(2, 3), (2, 3)), (check, CoordinationGame(2), (2,))):
        game.gamma = gamma
        if good:
            assert checked(game, *more, "mine").gamma == gamma
        else:
            with pytest.raises(InputError, match="env: mine: `gamma` is not a discount"):
                checked(game, *more, "mine")


# --- a world of games ---

ACTION_VALUE = {"agents": 3, "iterations": 10, "env": "coordination", "topology": "complete",
                "algorithm": {"name": "dac", "critic": "action_value"}}


def test_an_action_chosen_before_is_announced_once():
    linear = netac.run(ACTION_VALUE)
    for games in (1, 4):
        networks = netac.run(ACTION_VALUE | {"envs": games, "policy": "mlp"})
        assert linear.metrics["bytes_environment"][-1] == 22
        assert networks.metrics["bytes_environment"][-1] == 22 * games
        np.testing.assert_array_equal(networks.metrics["messages"], linear.metrics["messages"])


ARENA = {"agents": 2, "iterations": 6, "envs": 4, "policy": "mlp", "topology": "complete",
         "env": {"factory": "programs.arena:forgetful", "kwargs": {"length": 100, "falls": 2.0}}}


def test_games_that_begin_anew_announce_their_first_action():
    """Episodes of three steps: after steps 3 and 6 the next action is drawn again, and announced at steps 4 and 7."""
    tables = ARENA | {"env": ARENA["env"] | {"kwargs": {"length": 3, "falls": 2.0}},
                      "algorithm": ACTION_VALUE["algorithm"]}
    for iterations, announced in ((3, 4), (4, 6), (6, 8), (7, 10)):
        found = netac.run(tables | {"iterations": iterations}).metrics
        assert found["bytes_environment"][-1] == announced * 4


def test_resumed_games_that_begin_anew_are_staggered_anew(monkeypatch):
    tables = ARENA | {"stagger": 4, "normalise": {"rewards": True}, "algorithm": "cac"}
    cuts, apply = [], RewardNormaliser.apply
    monkeypatch.setattr(RewardNormaliser, "apply",
                        lambda self, r, done, *more, **options: (cuts.append(done.tolist()),
                                                                 apply(self, r, done, *more, **options))[1])

    def play(state=None):
        cuts.clear()
        parts = assemble(prepare(config.read(tables).experiment()))
        if state is not None:
            for name, rows in parts.sampler.rows.items():
                rows[:] = state[f"rows_{name}"]
            parts.sampler.restore(state)
            assert (parts.sampler.rows["reward_statistics"][:, 3:] == 0).all()
            assert (parts.sampler.rows["reward_statistics"][:, 0] > 0).all()
        for _ in range(6):
            parts.sampler.sample(parts.agents.parameters.theta)
        return (parts.sampler.state() | {f"rows_{name}": rows.copy() for name, rows in parts.sampler.rows.items()},
                list(cuts))

    state, first = play()
    assert (state["rows_reward_statistics"][:, 3:] != 0).any()
    assert first == [[k == t for k in (0, 1, 2, 3)] for t in (1, 2, 3, 0, 0, 0)][:3] + [[False] * 4] * 3
    assert play(state)[1] == first
