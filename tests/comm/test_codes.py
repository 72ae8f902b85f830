"""Packed encodings of messages, against bit strings written by hand, and their biases, errors and contractions."""

from __future__ import annotations

import itertools
import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netac.comm.conditions._codes import Code, Numbers, choco_step
from netac.comm.conditions._packing import pack, unpack
from netac.comm.conditions._scaled import Quantisation, Sign
from netac.comm.conditions._sparse import RandomK, TopK
from netac.utils.errors import InputError
from netac.utils.streams import Purpose, pair_uniforms

CODES = [TopK(k=1), TopK(k=3), TopK(fraction=0.01), TopK(fraction=0.6), TopK(fraction=1.0),
         RandomK(k=1), RandomK(fraction=0.3, unbiased=True), RandomK(fraction=0.7), RandomK(fraction=1.0),
         *(Quantisation(bits) for bits in (1, 2, 3, 4, 5, 8, 11, 16)), Quantisation(4, bucket=3),
         Quantisation(3, rounding="contracting"), Quantisation(1, rounding="nearest"),
         Quantisation(6, bucket=64, rounding="nearest"), Sign(), Sign(bucket=4)]
WIDTHS = [1, 2, 7, 1000]
DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
TYPES = [DOUBLE, SINGLE]


def of_agents(agents: range, seed: int = 0) -> Numbers:
    """What a condition binds: the numbers of these speakers."""
    return lambda draw, count: pair_uniforms(seed, Purpose.NETWORK, (0, 0, draw), np.array(agents)[:, None],
                                             np.arange(count)[None])


class Asked:
    """Numbers, and which were asked for."""

    def __init__(self, numbers: Numbers):
        self.numbers, self.draws, self.drawn = numbers, [], []

    def __call__(self, draw: int, count: int) -> np.ndarray:
        self.draws.append(draw)
        self.drawn.append(self.numbers(draw, count))
        return self.drawn[-1]

    def of(self, row: int) -> list[float]:
        """All of a row."""
        return [u for drawn in self.drawn for u in drawn[row].tolist()]


def never(draw: int, count: int) -> np.ndarray:
    raise AssertionError("chance is not needed here")


def always(u: float, rows: int = 1) -> Numbers:
    return lambda draw, count: np.full((rows, count), u)


def through(code: Code, values: np.ndarray, numbers: Numbers) -> np.ndarray:
    """C(x) of every row."""
    packed = code.encode(values, numbers)
    assert packed.dtype == np.uint8
    assert packed.shape == (len(values), math.ceil(code.bits(values.shape[1], values.dtype) / 8))
    decoded = code.decode(packed, values.shape[1], values.dtype, numbers)
    assert decoded.shape == values.shape and decoded.dtype == values.dtype
    return decoded


def messages(n: int, width: int, dtype: np.dtype, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, width)) * 10.0 ** rng.integers(-3, 4, (n, 1))
    values[rng.random((n, width)) < 0.2] = 0.0
    return values.astype(dtype)


# --- the oracle: bit strings, lowest bits first


def digits(number: int, size: int) -> str:
    return "".join(str(number >> place & 1) for place in range(size))


def float_digits(x: float, dtype: np.dtype) -> str:
    return "".join(digits(byte, 8) for byte in struct.pack("<d" if dtype == DOUBLE else "<f", x))


def in_bytes(text: str) -> list[int]:
    text += "0" * (-len(text) % 8)
    return [int(text[k:k + 8][::-1], 2) for k in range(0, len(text), 8)]


def rounded_down_up(ratio: np.floating, b: int) -> tuple[float, int]:
    """The probability of the upper of the two fields around x_j / scale, and the lower one; in the values' type."""
    number = type(ratio)
    place = ratio / number(2) + number(0.5) if b == 1 else ratio * number(2 ** (b - 1) - 1)
    lower = math.floor(place)
    return float(place - number(lower)), lower + (0 if b == 1 else 2 ** (b - 1) - 1)


def by_hand(code: Code, x: np.ndarray, drawn: list[float]) -> tuple[str, list[float]]:
    """The bits of one message and what it says.  `drawn`: the numbers of the speaker, one draw behind the other."""
    width, dtype = len(x), x.dtype
    said, bits = [0.0] * width, ""
    if isinstance(code, TopK | RandomK):
        k = code.k or max(1, round(code.fraction * width))
        k = min(k, width)
    if isinstance(code, TopK):
        order = sorted(range(width), key=lambda j: (-abs(float(x[j])), j))
        places, size = sorted(order[:k]), math.ceil(math.log2(width))
        bits = "".join(float_digits(x[j], dtype) for j in places)
        if width < k * size:
            bits += "".join("1" if j in places else "0" for j in range(width))
        else:
            bits += "".join(digits(j, size) for j in places)
        for j in places:
            said[j] = float(x[j])
    elif isinstance(code, RandomK):
        wanted, chosen = (k, []) if 2 * k <= width else (width - k, [])
        for u in drawn:
            if len(chosen) < wanted and int(u * width) not in chosen:
                chosen.append(int(u * width))
        places = chosen if 2 * k <= width else [j for j in range(width) if j not in chosen]
        assert len(places) == k
        bits = "".join(float_digits(x[j], dtype) for j in places)
        for j in places:
            said[j] = float(x[j]) * (width / k if code.unbiased else 1.0)
    else:
        D = min(width, code.bucket or width)
        buckets = [x[start:start + D] for start in range(0, width, D)]
        b, fields = (1, []) if isinstance(code, Sign) else (code.level_bits, [])
        for number, bucket in enumerate(buckets):
            if isinstance(code, Sign):
                scale = math.fsum(abs(float(v)) for v in bucket) / len(bucket)
                new = [int(v >= 0) for v in bucket]
            else:
                scale, new = max(abs(float(v)) for v in bucket), []
                for j, v in enumerate(bucket, start=number * D):
                    ratio = v / dtype.type(scale) if scale else v
                    upper, field = rounded_down_up(ratio, b)
                    if code.rounding == "nearest":
                        new.append(field + (upper > 0.5 or (upper == 0.5 and field % 2 != (0 if b == 1 else 1))))
                    else:
                        new.append(field + int(drawn[j] < upper))
            bits += float_digits(scale, dtype)
            fields += new
            for j, field in enumerate(new, start=number * D):
                level = 2 * field - 1 if b == 1 else field / (2 ** (b - 1) - 1) - 1
                said[j] = level * scale
                if getattr(code, "rounding", "") == "contracting":
                    s = 2 ** (b - 1) - 1
                    said[j] /= 1 + (math.sqrt(1 + (D - 1) / s**2) - 1) / 2
        bits += "".join(digits(field, b) for field in fields)
    return bits, said


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("dtype, columns", [(DOUBLE, None), (SINGLE, None), (DOUBLE, 48)])
def test_the_bits_and_what_they_say_are_those_written_by_hand(code, dtype, columns, monkeypatch):
    if columns:
        monkeypatch.setattr("netac.comm.conditions._scaled._COLUMNS", columns)
    for width, n in itertools.product(WIDTHS, (1, 3)):
        values, asked = messages(n, width, dtype, width + n), Asked(of_agents(range(n)))
        packed = code.encode(values, asked)
        decoded = code.decode(packed, width, dtype, of_agents(range(n)))
        assert packed.shape == (n, math.ceil(code.bits(width, dtype) / 8))
        assert asked.draws == list(range(len(asked.draws))), "no number is used twice"
        for i, x in enumerate(values):
            bits, said = by_hand(code, x, asked.of(i))
            assert len(bits) == code.bits(width, dtype)
            assert np.allclose(decoded[i], said, rtol=1e-10 if dtype == DOUBLE else 1e-6, atol=0)
            found, expected = packed[i].tolist(), in_bytes(bits)
            if isinstance(code, Sign):                      # the scale is a sum: in another order, it rounds otherwise
                scales = -(-width // (code.bucket or width)) * dtype.itemsize
                found[:scales] = expected[:scales]
            assert found == expected


@pytest.mark.parametrize("size", [*range(18), 24, 31, 32])
def test_packed_fields_are_found_again_and_are_the_bits_written_by_hand(size):
    rng = np.random.default_rng(size)
    for n, count in ((1, 1), (2, 7), (1, 33), (3, 100), (0, 5)):
        fields = rng.integers(0, 2**size, (n, count), dtype=np.uint64)
        packed = pack(fields, size)
        assert packed.tolist() == [in_bytes("".join(digits(field, size) for field in row)) for row in fields.tolist()]
        assert np.array_equal(unpack(packed, count, size), fields)


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("width, dtype", [(1, SINGLE), (7, DOUBLE), (1500, SINGLE), (20_000, SINGLE), (40_000, DOUBLE)])
def test_a_message_does_not_depend_on_the_others(code, width, dtype):
    n = 5
    values = messages(n, width, dtype)
    values[3] = 0.0
    numbers = of_agents(range(n))
    packed = code.encode(values, numbers)
    decoded = code.decode(packed, width, dtype, numbers)
    for layout in (np.asfortranarray(values), np.concatenate([values, values], axis=1)[:, width:]):
        assert np.array_equal(code.encode(layout, numbers), packed)
    for own in (range(1), range(1, 5), range(4, 5)):
        part = slice(own.start, own.stop)
        assert np.array_equal(code.encode(values[part], of_agents(own)), packed[part])
        assert np.array_equal(code.decode(packed[part], width, dtype, of_agents(own)), decoded[part])
    assert code.decode(packed[:0], width, dtype, of_agents(range(0))).shape == (0, width)
    assert code.encode(values[:0], of_agents(range(0))).shape == (0, packed.shape[1])


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("heard", [[True] * 4, [True, False, False, True], [False] * 4])
def test_what_was_heard_is_added_to_what_is_held(code, dtype, heard):
    rng, numbers = np.random.default_rng(4), of_agents(range(4))
    for width in WIDTHS:
        values, held = (rng.standard_normal((4, width)).astype(dtype) for _ in range(2))
        packed = code.encode(values, numbers)
        expected = held + np.where(np.array(heard)[:, None], code.decode(packed, width, dtype, numbers), dtype.type(0))
        code.add(held, packed, numbers, np.array(heard))
        assert held.dtype == dtype
        np.testing.assert_array_equal(held, expected)


@pytest.mark.parametrize("width", [7, 1000, 5000])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_among_equals_the_first_are_sent(width, dtype):
    for k in (1, 3, width // 16, width // 2):
        k = max(1, k)
        values = np.random.default_rng(k).integers(-2, 3, (4, width)).astype(dtype)
        values[1], values[2, :5] = 1.0, 9.0
        decoded = through(TopK(k=k), values, never)
        for x, found in zip(values.tolist(), decoded.tolist(), strict=True):
            chosen = set(sorted(range(width), key=lambda j: (-abs(x[j]), j))[:k])
            assert found == [v if j in chosen else 0.0 for j, v in enumerate(x)]


@pytest.mark.parametrize("width", [1024, 5001])
def test_the_largest_of_wide_messages_are_those_of_a_full_sort(width):
    rng = np.random.default_rng(width)
    for kind in (rng.standard_normal((9, width)), rng.standard_cauchy((9, width)), np.sort(rng.random((9, width))),
                 np.linspace(2, 1, 9 * width).reshape(9, width), (rng.random((9, width)) < 0.001) * 1.0):
        for k in (1, 10, width // 64, width // 16):
            places = np.sort(np.argsort(-np.abs(kind), axis=1, kind="stable")[:, :k])
            expected = np.zeros_like(kind)
            np.put_along_axis(expected, places, np.take_along_axis(kind, places, 1), 1)
            assert np.array_equal(through(TopK(k=k), kind, never), expected)


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_zeros_arrive_as_zeros_and_the_smallest_numbers_as_numbers(code, dtype):
    numbers = of_agents(range(3))
    for width in (*WIDTHS, 3000):
        assert not through(code, np.zeros((3, width), dtype), numbers).any()
        assert not through(code, -np.zeros((3, width), dtype), numbers).any()
        tiny = np.full((3, width), np.finfo(dtype).smallest_subnormal)
        tiny[:, ::2] *= -1000
        found = through(code, tiny, numbers)
        assert np.isfinite(found).all() and np.abs(found).max() <= max(1, width / code.k if getattr(
            code, "k", None) else width) * np.abs(tiny).max()
    values = messages(3, 1000, dtype)
    if not isinstance(code, Sign) and getattr(code, "level_bits", 2) > 1:
        assert not through(code, values, numbers)[values == 0].any()


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.filterwarnings("error")
def test_what_is_not_finite_does_not_arrive_as_a_number(code, dtype):
    numbers = of_agents(range(3))
    for width, strange in itertools.product((*WIDTHS, 3000), (np.nan, np.inf, -np.inf)):
        values = messages(3, width, dtype)
        plain = through(code, values, numbers)
        values[1, width // 2] = strange
        found = through(code, values, numbers)
        if isinstance(code, RandomK):
            assert found[1, width // 2] == 0 or not np.isfinite(found[1, width // 2])
        else:
            assert not np.isfinite(found[1, width // 2])
        assert np.array_equal(found[::2], plain[::2]), "others do not notice"


def test_more_strange_values_than_are_sent_take_all_places():
    values = messages(1, 2000, DOUBLE)
    values[0, 100:110], values[0, 500:503] = np.inf, np.nan
    found = through(TopK(k=5), values, never)[0]
    assert np.isnan(found[500:503]).all() and np.isinf(found[100:102]).all()
    assert np.count_nonzero(found) == 5


@pytest.mark.parametrize("code", [TopK(k=3), RandomK(fraction=1.0), Quantisation(4, rounding="nearest"), Sign()],
                         ids=str)
def test_chance_is_asked_for_only_where_it_is_needed(code):
    through(code, messages(2, 50, DOUBLE), never)


# --- chance


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_every_set_of_k_places_is_drawn_alike(k):
    width, rows = 5, 20_000
    found = through(RandomK(k=k), np.ones((rows, width)), of_agents(range(rows)))
    assert (found.sum(axis=1) == k).all()
    counts = np.bincount((found @ 2.0 ** np.arange(width)).astype(int), minlength=32)
    sets = [sum(2**j for j in chosen) for chosen in itertools.combinations(range(width), k)]
    expected = rows / len(sets)
    assert counts[sets].sum() == rows
    assert ((counts[sets] - expected) ** 2 / expected).sum() < 35          # 4 or 9 degrees of freedom: beyond 1e-4


def test_places_that_were_drawn_twice_are_drawn_anew():
    def poor(draw, count):
        numbers = of_agents(range(2), seed=draw)(draw, count)
        return np.where(np.arange(2)[:, None] == 1, numbers // 0.25 * 0.25, numbers) if draw < 3 else numbers

    x = messages(2, 40, DOUBLE) + 100
    packed = RandomK(k=9).encode(x, asked := Asked(poor))
    assert len(asked.drawn) > 3
    for i in range(2):
        assert packed[i].tolist() == in_bytes(by_hand(RandomK(k=9), x[i], asked.of(i))[0])
    alone = RandomK(k=9).encode(x[:1], lambda draw, count: poor(draw, count)[:1])
    assert np.array_equal(alone, packed[:1]), "although it needs no second draw"


UNBIASED = [RandomK(k=2, unbiased=True), RandomK(k=4, unbiased=True),
            *(Quantisation(bits) for bits in (1, 2, 3, 5)), Quantisation(2, bucket=3), Quantisation(1, bucket=2)]


@pytest.mark.parametrize("code", UNBIASED, ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_unbiased_codes_have_the_right_mean_and_a_variance_within_the_bound(code, dtype):
    rows, x = 40_000, np.array([0.3, -1.0, 0.05, 0.0, 0.62, -0.21], dtype)
    assert code.unbiased
    found = through(code, np.tile(x, (rows, 1)), of_agents(range(rows), seed=5)).astype(float)
    errors = found - x
    deviation = errors.std(axis=0) / math.sqrt(rows)
    assert (np.abs(errors.mean(axis=0)) <= 4.5 * deviation + 1e-7).all()
    squares = np.square(errors).sum(axis=1)
    assert squares.mean() <= code.error_bound(6) * np.square(x, dtype=float).sum() + 4.5 * squares.std() / rows**0.5
    if isinstance(code, RandomK):
        assert math.isclose(squares.mean(), (6 / code.k - 1) * np.square(x, dtype=float).sum(), rel_tol=0.02)


def expected_error(code: Quantisation, x: np.ndarray) -> float:
    """E ||C(x) - x||^2, from the two values between which the code decides by chance."""
    low, high = through(code, x[None], always(1 - 2**-53))[0], through(code, x[None], always(0.0))[0]
    shrunk = 1 / (1 + Quantisation(code.level_bits, code.bucket).error_bound(len(x)))
    factor = shrunk if code.rounding == "contracting" else 1.0
    step = np.where(high > low, high - low, 1.0)
    upper = np.where(high > low, (x * factor - low) / step, 0.0)
    return float((upper * (high - x) ** 2 + (1 - upper) * (low - x) ** 2).sum())


def hardest(code: Code, width: int) -> np.ndarray:
    """The message whose error is the bound."""
    x = np.zeros(width)
    D = min(width, getattr(code, "bucket", None) or width)
    if isinstance(code, Quantisation) and code.level_bits > 1:
        s, q = 2 ** (code.level_bits - 1) - 1, Quantisation(code.level_bits, code.bucket).error_bound(width)
        x[:D] = 0.5 / s if code.rounding == "nearest" else 1 / (2 * (1 + q)) / s
    elif isinstance(code, TopK):
        x[:] = 1.0
    x[0] = 1.0
    return x


BOUNDED = [code for code in CODES if not isinstance(code, RandomK)] + [
    Quantisation(1, rounding="contracting"), Quantisation(7, bucket=5, rounding="contracting"),
    Quantisation(2, rounding="nearest")]


def error_of(code: Code, x: np.ndarray) -> float:
    if isinstance(code, Quantisation) and code.rounding != "nearest":
        return expected_error(code, x)
    return float(np.square(through(code, x[None], never)[0] - x).sum())


@pytest.mark.parametrize("code", BOUNDED, ids=str)
@pytest.mark.parametrize("width", [1, 2, 7, 200])
def test_the_bound_of_the_error_is_attained(code, width):
    x = hardest(code, width)
    assert math.isclose(error_of(code, x), code.error_bound(width) * np.square(x).sum(), rel_tol=1e-9, abs_tol=1e-12)


@settings(max_examples=100)
@given(code=st.sampled_from(BOUNDED), size=st.floats(1e-3, 1e3),
       x=st.lists(st.one_of(st.floats(-1, 1), st.sampled_from([0.0, 1.0, -1.0, 0.5, 1 / 3])), min_size=1, max_size=20))
def test_no_message_has_a_larger_error_than_the_bound(code, x, size):
    x = np.array(x) * size
    square = np.square(x).sum()
    assert error_of(code, x) <= code.error_bound(len(x)) * square * (1 + 1e-9) + 1e-15 * square
    delta = code.contraction(len(x))
    if delta is None:
        assert code.error_bound(len(x)) >= 1
    else:
        assert 0 < delta <= 1 and error_of(code, x) <= (1 - delta + 1e-9) * square


@settings(max_examples=25)
@given(x=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12))
def test_what_random_k_leaves_out_is_a_share_of_the_square(x):
    """The mean over all places of the one that is drawn, for k = 1 and W - 1."""
    x = np.array(x)
    width, square = len(x), np.square(x).sum()
    for code in (RandomK(k=1), RandomK(k=1, unbiased=True), *([RandomK(k=width - 1)] if width > 2 else [])):
        if width == 1 or (code.k == 1 and width == 2):
            continue
        errors = []
        for place in range(width):
            def shifted(draw, count, place=place):
                return ((place + np.arange(count)) % width + 0.5)[None] / width
            errors.append(np.square(through(code, x[None], shifted) - x).sum())
        assert math.isclose(np.mean(errors), code.error_bound(width) * square, rel_tol=1e-9, abs_tol=1e-12)


def test_contractions_are_those_of_the_papers():
    assert math.isclose(TopK(fraction=0.01).contraction(1000), 0.01)
    assert math.isclose(RandomK(k=7).contraction(50), 0.14)
    assert RandomK(k=7, unbiased=True).contraction(14) is None
    assert math.isclose(RandomK(k=8, unbiased=True).contraction(14), 0.25)
    assert math.isclose(Sign().contraction(40), 1 / 40) and math.isclose(Sign(bucket=8).contraction(40), 1 / 8)
    assert Quantisation(4).contraction(400) is None is Quantisation(1).contraction(2)
    assert math.isclose(Quantisation(4).contraction(148), 0.5)                      # sqrt(1 + 147 / 49) = 2
    assert math.isclose(Quantisation(4, rounding="contracting").contraction(148), 2 / 3)
    assert math.isclose(Quantisation(2, rounding="nearest").contraction(5), 0.5)
    assert Quantisation(1).contraction(1) == 1.0


# --- CHOCO


def test_choco_step_is_the_theorem():
    assert math.isclose(choco_step(0.25, 1.5, 0.1), 0.00625 / (4 + 0.0625 + 9 + 1.125 - 0.2))
    assert math.isclose(choco_step(1.0, 0.0, 1.0), 1 / 9)
    for found in ((0.0, 1.0, 0.5), (1.1, 1.0, 0.5), (0.5, 1.0, 0.0), (0.5, -0.1, 0.5), (0.5, 2.1, 0.5),
                  (math.nan, 1.0, 0.5)):
        with pytest.raises(InputError, match="not defined"):
            choco_step(*found)


@pytest.mark.parametrize("code", [TopK(k=5), RandomK(k=5), Quantisation(3), Quantisation(2, rounding="contracting"),
                                  Sign()], ids=str)
def test_choco_with_its_step_converges_as_the_theorem_says(code):
    n, width = 6, 10
    W = np.zeros((n, n))
    for i in range(n):
        W[i, [i - 1, i, (i + 1) % n]] = 1 / 3
    values = np.linalg.eigvalsh(W)
    gap, beta, delta = 1 - max(abs(values[0]), abs(values[-2])), np.abs(1 - values).max(), code.contraction(width)
    step, x, copies = choco_step(gap, beta, delta), messages(n, width, DOUBLE), np.zeros((n, width))
    mean, begin = x.mean(axis=0), None
    for t in range(200):
        copies = copies + through(code, x - copies, of_agents(range(n), seed=t))
        error = np.square(x - mean).sum() + np.square(x - copies).sum()
        begin = begin or error
        assert error <= 1.0001 * begin * (1 - gap**2 * delta / 82) ** t
        x = x + step * (W - np.eye(n)) @ copies
    assert np.allclose(x.mean(axis=0), mean, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make, key", [
    (lambda: TopK(), "k"), (lambda: TopK(k=2, fraction=0.5), "k"), (lambda: TopK(k=0), "k"),
    (lambda: RandomK(fraction=0.0), "fraction"), (lambda: RandomK(fraction=1.5), "fraction"),
    (lambda: Quantisation(0), "bits"), (lambda: Quantisation(17), "bits"), (lambda: Sign(bucket=-1), "bucket"),
    (lambda: Quantisation(4, bucket=0), "bucket"), (lambda: Quantisation(4, rounding="down"), "rounding")])
def test_options_that_mean_nothing_are_refused(make, key):
    with pytest.raises(InputError) as told:
        make()
    assert told.value.key == key
