"""The agents' rows: what is mixed is one slice, state has its declared shape, networks' quantities are aligned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.agents.alignment import is_aligned
from netac.agents.parameters import MIXABLE, PARAMETERS, Layout, Parameters, Shape, like, numbers, per_edge
from netac.utils.errors import InputError

N, SIZES = 3, {"mu": 1, "omega": 2, "lam": 3, "theta": 5, "shared": 4, "personal": 1}
FIXED = [(), ("omega",), ("omega", "lam"), ("mu", "omega", "lam"), ("omega", "lam", "shared")]


def layout(mixed=(), dtype="float64", sizes=SIZES, **state):
    sizes = {name: sizes[name] for name in (*PARAMETERS, "shared")}
    return Layout(**sizes, mixed=mixed, state=state, agents=N, dtype=dtype)


@pytest.mark.parametrize("mixed", FIXED)
def test_layout_mixes_a_run_of_neighbouring_columns(mixed):
    plan = layout(mixed, h=like("theta"))
    x = Parameters(plan, 2)
    x.flat[:] = np.arange(plan.total) + 100 * np.arange(2)[:, None]
    assert (x.mixed == np.concatenate([x.flat[:, :0], *(getattr(x, part) for part in mixed)], axis=1)).all()
    assert plan.total == 16 and x.personal.shape == (2, 1)
    assert plan.owner(0).startswith("mu") and plan.owner(plan.total - 1).startswith("h")
    assert x["h"].shape == (2, 5) and x["h"][1, -1] == 115


SHAPES = st.one_of(
    st.builds(lambda parts: like(*parts), st.lists(st.sampled_from([*SIZES, "mixed"]), min_size=1, max_size=3)),
    st.builds(numbers, st.integers(0, 20)),
    st.builds(lambda parts: per_edge(*parts), st.lists(st.sampled_from(list(SIZES)), max_size=2)))


@st.composite
def layouts(draw):
    state = draw(st.dictionaries(st.sampled_from("abcdz"), SHAPES, max_size=4))
    mixed = draw(st.lists(st.sampled_from([*MIXABLE, *state]), unique=True))
    sizes = {"mu": draw(st.integers(0, 1)), "omega": draw(st.integers(0, 17)), "lam": draw(st.sampled_from([0, 3])),
             "theta": 5, "shared": draw(st.sampled_from([0, 4, 5]))}
    return layout(tuple(mixed), draw(st.sampled_from(["float64", "float32"])), sizes, **state)


def size_of(plan: Layout, part: str) -> int:
    return 5 - plan.shared if part == "personal" else getattr(plan, part)


def size(plan: Layout, shape: Shape) -> int:
    """Of one copy, without gaps."""
    mixed = [name for name in MIXABLE if name in plan.mixed]
    parts = [part for each in shape.parts for part in (mixed if each == "mixed" else [each])]
    return sum(size_of(plan, part) for part in parts) if shape.parts else shape.size


@settings(max_examples=300)
@given(layouts(), st.integers(1, 3))
def test_every_quantity_has_its_own_numbers_and_what_is_mixed_is_one_slice(plan, n):
    x = Parameters(plan, n)
    assert not x.flat.any()
    held = {name: [getattr(x, name)] for name in PARAMETERS} | {name: list(x.parts(name)) for name in plan.state}
    for name, shape in plan.state.items():
        assert sum(part.shape[-1] for part in held[name]) == size(plan, shape), name
        assert x[name].shape[:-1] == ((n, N) if shape.edges and shape.parts else (n,)), name
        assert shape.parts or x[name].shape[-1] == (N if shape.edges else shape.size)
    held |= {name: [x[name]] for name, shape in plan.state.items() if not shape.parts}
    for number, name in enumerate(held, 1):                 # everything is written once, and nothing twice
        for part in held[name]:
            assert np.shares_memory(part, x.flat) or not part.size
            assert not part.any(), name
            part[:] = number
    for number, name in enumerate(held, 1):
        assert all((part == number).all() for part in held[name]), name
    there = {number for number, name in enumerate(held, 1)
             if name in plan.mixed and any(part.size for part in held[name])}
    if "shared" in plan.mixed and plan.shared:
        there.add(1 + PARAMETERS.index("theta"))
    assert np.shares_memory(x.mixed, x.flat) or not there
    assert set(x.mixed.ravel().tolist()) - {0.0} == there
    wide = {name: size(plan, shape) * (N if shape.edges else 1) for name, shape in plan.state.items()}
    wide |= {name: size_of(plan, name) for name in MIXABLE}
    assert np.count_nonzero(x.mixed) == n * sum(wide[name] for name in plan.mixed)
    if plan.dtype == "float32":
        assert all(is_aligned(part) for name in PARAMETERS for part in held[name] if part.size)
        for name, shape in plan.state.items():
            copies = range(N) if shape.edges and shape.parts else [...]
            assert all(is_aligned(part[:, j] if shape.edges else part)
                       for part in held[name] if shape.parts and part.size for j in copies), name
    else:
        assert x.flat.all() and plan.total == x.flat.shape[1]
    for column in range(plan.total):
        number = int(x.flat[0, column])
        if number:
            assert plan.owner(column).split()[0] in (list(held)[number - 1], "lambda")


@given(layouts())
def test_steps_are_added_to_the_parameters_alone(plan):
    x = Parameters(plan, 2)
    x.flat[:] = 1.0
    before = x.flat.copy()
    held = [name for name in plan.names if name in PARAMETERS and getattr(plan, name)]
    x.add(*(np.full((2, getattr(plan, name)), 2.0 + k, plan.dtype) for k, name in enumerate(held)))
    for k, name in enumerate(held):
        assert (getattr(x, name) == 3.0 + k).all()
        getattr(x, name)[:] = 1.0
    assert (x.flat == before).all()


def test_state_of_other_numbers_lies_beside_the_rows():
    plan = layout(("omega",), "float32", heard=per_edge(dtype="int64"), y=like("omega", dtype="float64"))
    x = Parameters(plan, 2)
    assert x["heard"].shape == (2, N) and x["heard"].dtype == np.int64 and x["y"].dtype == np.float64
    assert x.beside["heard"] is x["heard"] and x.beside.keys() == {"heard", "y"}
    assert plan.total == layout(("omega",), "float32").total


@pytest.mark.parametrize(("mixed", "state", "says"), [
    (("omega", "psi"), {}, "requirements.mixed"),
    (("theta",), {}, "requirements.mixed"),
    (("y",), {"y": numbers(2, dtype="int64")}, "requirements.mixed"),
    ((), {"y": like("omga")}, "requirements.state.y"),
    ((), {"omega": numbers(1)}, "under the name of a parameter"),
    ((), {"personal": numbers(1)}, "under the name of a parameter"),
])
def test_requirements_that_name_what_there_is_not_are_refused(mixed, state, says):
    with pytest.raises(InputError, match=says):
        layout(mixed, **state)
