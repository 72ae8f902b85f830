"""Messages in few bits take as many bytes as their encoding says, and that encoding travels between processes."""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.conditioned import load, made

from netac.comm.conditions._compression import CODES, FEW
from netac.comm.conditions._scaled import Quantisation, Sign
from netac.comm.conditions._sparse import RandomK, TopK
from netac.comm.ledger import Ledger
from netac.comm.network import Network
from netac.comm.placement import Placement

PROGRAM = Path(__file__).parents[1] / "programs" / "packed.py"
AGENTS, WIDTH, LINKS, ROUNDS = 4, 2_000, 8, 6
HEADER = 8                     # bytes of a number that travels besides: whether anything is sent, and what is told
BY_HAND: dict[str, tuple[Any, float]] = {                   # in double precision
    "top-k": (0.01, 20 * (64 + 11)), "random-k": (0.01, 20 * 64), "quantisation": (4, 4 * 64 + WIDTH * 4),
    "sign": ({"bucket": 512}, 4 * 64 + WIDTH), "no code": (None, WIDTH * 64)}


def tables() -> dict[str, tuple[dict[str, Any], int, int, str]]:
    """By name: the table [network], the agents, the width and the type of what is mixed."""
    found = {}
    for code, feedback in itertools.product(CODES, ("none", "choco")):
        first = BY_HAND[code][0]
        options = first if isinstance(first, dict) else {"bits" if code == "quantisation" else "fraction": first}
        found[f"{code}, {feedback}"] = {code: options | {"feedback": feedback}}
    found |= {"no code, loss": {"loss": 0.3}, "no code, clock": {"clock": {"latency": 1.0}},
              "sign, clock": {"sign": {"bucket": 512}, "clock": {"latency": 1.0}}}
    return {name: (table, AGENTS, WIDTH, "float64") for name, table in found.items()} | {
        f"{name}, single": (found[name], AGENTS, WIDTH, "float32") for name in ("top-k, choco", "sign, none")}


TABLES = tables()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """The tables, for the program."""
    path = tmp_path_factory.mktemp("packed") / "tables.json"
    path.write_text(json.dumps(TABLES))
    return path


def test_the_packed_encoding_travels_between_processes(mpirun, file):
    done = mpirun(AGENTS, [sys.executable, PROGRAM, file])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == TABLES.keys()
    for name, counted in found.items():
        bits = BY_HAND[name.partition(",")[0]][1]
        if name.endswith("single"):
            bits -= {"top-k": 20, "sign": 4}[name.partition(",")[0]] * 32
        messages, logical, wire = counted["messages"], counted["bytes"], counted["wire"]
        assert messages == LINKS * ROUNDS and logical == messages * math.ceil(bits / 8), name
        headers = messages * HEADER * (3 if "clock" in name else 1)
        assert logical + headers <= wire <= 1.1 * logical + headers, name
    alone = mpirun(1, [sys.executable, PROGRAM, file])
    assert {name: counted["mixed"] for name, counted in json.loads(alone.stdout).items()} == {
        name: counted["mixed"] for name, counted in found.items()}, alone.stderr


codes = st.one_of(
    st.builds(TopK, k=st.integers(1, 9)), st.builds(TopK, fraction=st.sampled_from([0.05, 0.4, 1.0])),
    st.builds(RandomK, k=st.integers(1, 9)), st.builds(RandomK, fraction=st.sampled_from([0.05, 0.4, 1.0])),
    st.builds(Sign, bucket=st.sampled_from([3, 512])),
    st.builds(Quantisation, level_bits=st.integers(1, 16), bucket=st.sampled_from([3, 512]),
              rounding=st.just("contracting")))


@settings(max_examples=40, derandomize=True)
@given(code=codes, width=st.one_of(st.integers(1, 20), st.sampled_from([512, 513, 2000])),
       kind=st.sampled_from([np.float32, np.float64]), feedback=st.sampled_from(["none", "choco"]))
def test_a_message_counts_the_bytes_of_its_bits(code, width, kind, feedback):
    graph, ledger = load("star", 4), Ledger(4)
    through = Network(graph.matrix, Placement(4), ledger, conditions=made(graph, table(code, feedback)))
    through.mix(0, np.ones((4, width), kind), rounds=2)
    bits = 8 * width * np.dtype(kind).itemsize if width <= FEW else code.bits(width, np.dtype(kind))
    messages = 2 * np.array([3, 1, 1, 1])
    assert ledger.consensus_messages.tolist() == messages.tolist()
    assert ledger.consensus_bytes.tolist() == (messages * math.ceil(bits / 8)).tolist()
    told = (through.told() or {}).get("compressed_bits", np.zeros(4))
    assert told.tolist() == (messages * bits * (width > FEW)).tolist()


def table(code: Any, feedback: str) -> dict[str, Any]:
    """The table [network] of a code."""
    if isinstance(code, TopK | RandomK):
        options = {"k": code.k} if code.k else {"fraction": code.fraction}
        return {"random-k" if isinstance(code, RandomK) else "top-k": options | {"feedback": feedback}}
    if isinstance(code, Sign):
        return {"sign": {"bucket": code.bucket, "feedback": feedback}}
    return {"quantisation": {"bits": code.level_bits, "bucket": code.bucket, "feedback": feedback}}
