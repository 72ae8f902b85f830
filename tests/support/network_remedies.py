"""Tables [network] that are refused, with what their message offers and the remedy made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.remedy_case import HERE, REMOVED, Case


def graphml(kind: str, latency: str) -> str:
    """A ring of five whose edges say their latency, as a kind of attribute."""
    return (f'<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="l" for="edge" attr.type="{kind}" '
            'attr.name="latency_ms"/><graph edgedefault="undirected">' + "".join(
                f'<node id="{name}"/>' for name in "abcde") + "".join(
                f'<edge source="{a}" target="{b}"><data key="l">{latency}</data></edge>'
                for a, b in ("ab", "bc", "cd", "de", "ea")) + "</graph></graphml>")


FILES = {
    "losses.csv": "iteration,hearer,speaker\n0,0,1\n1,1,0\n", "headless.csv": "0,0,1\n",
    "ragged.csv": "iteration,hearer,speaker\n0,0\n", "stranger.csv": "iteration,hearer,speaker\n0,0,7\n",
    "alone.csv": "iteration,hearer,speaker\n0,2,2\n",
    "slow.graphml": graphml("double", "20"), "wordy.graphml": graphml("string", "slow"),
    "networks_of_mine.py": "import netac\n\n\nclass Quiet(netac.Condition):\n    pass\n\n\n"
                           "class Nothing:\n    pass\n\n\n"
                           "class Failing(netac.Condition):\n    def __init__(self):\n"
                           "        raise ValueError('too quiet')\n"}
RING = {"agents": 5, "iterations": 10, "env": {"name": "coordination", "features": "histogram"}, "topology": "ring",
        "algorithm": {"name": "cac"}}
COMPLETE = RING | {"topology": "complete"}
CHANGING = RING | {"topology": {"name": "periodic-complete", "period": 2}}
BEAT = {"schedule": "beat", "period": 0.1, "most": 2}
ASYNCHRONOUS = {"schedule": "asynchronous", "compute": 0.1}
LIARS = {"attack": "sign-flip", "number": 1}


def write_files(folder: Path) -> None:
    """The files that the cases name."""
    for name, text in FILES.items():
        (folder / name).write_text(text)


def mine(name: str) -> dict[str, Any]:
    """The table of a condition of one's own."""
    return {"factory": f"networks_of_mine:{name}", "folder": HERE}


def of(name: str, wrong: Any, offers: str, right: Any, base: dict[str, Any] = RING, beside: Any = None) -> Case:
    """A condition whose value is refused, and with which it is not."""
    table = beside or {}
    return Case(base, {"network": table | {name: wrong}}, offers, {"network": table | {name: right}})


def without(name: str, table: dict[str, Any], offers: str, base: dict[str, Any] = RING) -> Case:
    """Conditions that do not go together, and do once one of them is gone."""
    return Case(base, {"network": table}, offers, {f"network.{name}": REMOVED})


TABLE = {
    "no table": Case(RING, {"network": 0.1}, "loss = 0.1", {"network": {"loss": 0.1}}),
    "no such condition": Case(RING, {"network": {"lost": 0.1}}, "loss", {"network": {"loss": 0.1}}),
    "nor a factory": Case(RING, {"network": {"mine": 1}}, "factory =", {"network.mine": mine("Quiet")}),
    "no condition is made": of("mine", mine("Nothing"), "netac.Condition", mine("Quiet")),
    "the name of another": Case(RING, {"network": {"loss": mine("Quiet")}}, "another name",
                                {"network": {"my-loss": mine("Quiet")}}),
    "insecure by number": of("allow_insecure", 1, "true or false", True, beside={"loss": 0.1}),
    "no options": of("median", 3, "true or false", True),
    "a probability of 1.5": of("loss", 1.5, "0 to 1", 1.0),
    "two codes": without("sign", {"sign": True, "top-k": 0.5}, "sign or top-k"),
    "or the other": without("top-k", {"sign": True, "top-k": 0.5}, "sign or top-k"),
}
LOSING = {
    "no schedule": of("loss-schedule", f"{HERE}/headless.csv", "iteration,hearer,speaker", f"{HERE}/losses.csv"),
    "no three numbers": of("loss-schedule", f"{HERE}/ragged.csv", "three whole numbers", f"{HERE}/losses.csv"),
    "a stranger": of("loss-schedule", f"{HERE}/stranger.csv", "0 to 4", f"{HERE}/losses.csv"),
    "loses of itself": of("loss-schedule", f"{HERE}/alone.csv", "two agents", f"{HERE}/losses.csv"),
    "no delay": of("delay", True, "one of iterations and most", {"most": 2}),
    "two delays": of("delay", {"iterations": 1, "most": 2}, "one of iterations and most", {"most": 2}),
    "least without most": of("delay", {"iterations": 2, "least": 1}, "most for iterations", {"most": 2, "least": 1}),
    "longer than the run": of("delay", 10, "0 to 9", 9),
    "more than most": of("delay", {"most": 2, "least": 3}, "0 to 2", {"most": 2, "least": 2}),
    "every eleventh of ten": of("skip", 11, "1 to 10", 10),
    "always without an edge": of("skip", 2, "without a common divisor", 3, RING | {"topology": {
        "name": "alternating", "of": ["disconnected", "ring"]}}),
    "two who sleep": of("sleep", {"agents": [1], "fraction": 0.5}, "one of agents and fraction", {"fraction": 0.5}),
    "a stranger sleeps": of("sleep", {"agents": [5]}, "0 to 4", {"agents": [4]}),
    "less than an agent": of("sleep", {"fraction": 0.05}, "at least 0.1", {"fraction": 0.1}),
    "asleep after the end": of("sleep", {"agents": [1], "start": 10}, "0 to 9", {"agents": [1], "start": 9}),
    "awake before": of("sleep", {"agents": [1], "start": 3, "end": 3}, "4 to 10",
                       {"agents": [1], "start": 3, "end": 4}),
    "all asleep for good": of("sleep", True, "a probability below 1", 0.9),
    "dither without a step": of("noise", {"rounding": "dithered"}, "a step above 0",
                                {"rounding": "dithered", "step": 0.1}),
}
CODED = {
    "a step without CHOCO": of("sign", {"feedback": "none", "step": 0.5}, "without step", {"feedback": "none"}),
    "copies on a graph that changes": of("sign", True, 'feedback = "none"', {"feedback": "none"},
                                         RING | {"topology": "gossip"}),
    "copies with loss": of("sign", True, "sign or loss", {"feedback": "none"}, beside={"loss": 0.1}),
    "plain codes located": without("sign", {"sign": {"feedback": "none"}, "median": True}, "sign or median"),
    "unbiased with feedback": of("random-k", {"k": 2, "unbiased": True}, 'feedback = "none"',
                                 {"k": 2, "unbiased": True, "feedback": "none"}),
    "unbiased rounding with feedback": of("quantisation", {"bits": 4, "rounding": "unbiased"}, '"contracting"',
                                          {"bits": 4, "rounding": "contracting"}),
}
MIXED = {
    "two ways to mix": without("median", {"median": True, "trimmed-mean": 1}, "median or trimmed-mean", COMPLETE),
    "two of push-sum's": without("push-sum", {"push-sum": True, "median": True}, "push-sum or median"),
    "losses on a graph that changes": without("loss", {"push-sum": True, "loss": 0.1}, "push-sum without loss",
                                              CHANGING),
    "or a graph that stays": Case(CHANGING, {"network": {"push-sum": True, "loss": 0.1}},
                                  "a topology that does not change", {"topology": "ring"}),
    "nobody lies": of("adversaries", {"attack": "scaled"}, "number = 2", {"attack": "scaled", "number": 2},
                      beside={"allow_insecure": True}),
    "a liar who is not there": of("adversaries", {"attack": "scaled", "agents": [5]}, "0 to 4",
                                  {"attack": "scaled", "agents": [4]}, beside={"allow_insecure": True}),
    "a liar twice": of("adversaries", {"attack": "scaled", "agents": [1, 1]}, "once",
                       {"attack": "scaled", "agents": [1]}, beside={"allow_insecure": True}),
    "nobody is honest": of("adversaries", {"attack": "scaled", "number": 5}, "at most 4",
                           {"attack": "scaled", "number": 4}, beside={"allow_insecure": True}),
    "no scale of its own": of("adversaries", {"attack": "a-little-is-enough", "number": 3}, "scale = 1.5",
                              {"attack": "a-little-is-enough", "number": 3, "scale": 1.5},
                              beside={"allow_insecure": True}),
    "an attack nobody knows": of("adversaries", {"attack": "signflip", "number": 1}, "sign-flip", LIARS,
                                 beside={"allow_insecure": True}),
    "liars who are not borne": Case(COMPLETE, {"network": {"adversaries": LIARS}}, "allow_insecure = true",
                                    {"network.allow_insecure": True}),
    "or a defence": Case(COMPLETE, {"network": {"adversaries": LIARS}}, "trimmed-mean = f",
                         {"network.trimmed-mean": 1}),
    "a graph that bears none": Case(RING | {"topology": "star", "agents": 6}, {
        "network": {"adversaries": LIARS, "trimmed-mean": 1}}, "on a graph that is (2 f + 1)-robust",
        {"topology": "complete"}),
    "nobody hears enough": of("trimmed-mean", 1, "0 to 0", 0),
    "or on another graph": Case(RING, {"network": {"trimmed-mean": 1}}, "a topology in which agents hear more",
                                {"topology": "complete"}),
    "liars among codes": Case(COMPLETE, {"network": {"adversaries": LIARS, "trimmed-mean": 1, "sign": True}},
                              "adversaries without sign", {"network.sign": False}),
    "liars among noise": Case(COMPLETE, {"network": {"adversaries": LIARS, "trimmed-mean": 1, "noise": 0.1}},
                              "allow_insecure = true", {"network.allow_insecure": True}),
    "too many for the graph": Case(COMPLETE, {"network": {"adversaries": LIARS | {"number": 2}, "trimmed-mean": 1}},
                                   "fewer liars", {"network.adversaries.number": 1}),
}
TIMED = {
    "as many works as agents": of("clock", {"compute": [1.0, 2.0]}, "5 numbers", {"compute": [1.0] * 5}),
    "a straggler who is not there": of("clock", {"stragglers": [5]}, "0 to 4", {"stragglers": [4]}),
    "a time below 0": of("clock", {"latency": -1.0}, "at least 0", {"latency": 0.0}),
    "a period to wait for": of("clock", {"period": 1.0}, 'schedule = "beat"', BEAT),
    "no period": of("clock", {"schedule": "beat", "most": 2}, "seconds of an iteration", BEAT),
    "later than the run": of("clock", BEAT | {"most": 10}, "1 to 9", BEAT | {"most": 9}),
    "copies on the beat": of("clock", BEAT, '"wait"', {"latency": 0.1}, beside={"sign": True}),
    "or without copies": Case(RING, {"network": {"sign": {}, "clock": BEAT}}, 'network.sign.feedback = "none"',
                              {"network.sign.feedback": "none"}),
    "asynchronous on a graph that changes": of("clock", ASYNCHRONOUS, 'schedule = "beat"', BEAT, CHANGING),
    "asynchronous without work": of("clock", ASYNCHRONOUS | {"compute": 0.0, "period": 1.0}, "more than 0",
                                    ASYNCHRONOUS),
    "two delays at once": without("delay", {"clock": BEAT, "delay": 1}, "clock or delay"),
    "a jitter without end": of("clock", {"compute": 1.0, "jitter": 1e200}, "at most 1e+06",
                               {"compute": 1.0, "jitter": 1e6}),
    "stragglers who hurry": of("clock", ASYNCHRONOUS | {"stragglers": 0.4, "factor": 1e-7}, "at least",
                               ASYNCHRONOUS | {"stragglers": 0.4, "factor": 1e-3}),
    "edges without numbers": Case(RING, {
        "network": {"clock": {"latency": "edges"}}, "topology": f"{HERE}/wordy.graphml"}, "a number for every edge",
        {"topology": f"{HERE}/slow.graphml"}),
    "too many events": of("clock", ASYNCHRONOUS | {"compute": 1e-6, "period": 1.0}, "at least 0.0001",
                          ASYNCHRONOUS | {"compute": 1e-4, "period": 1.0}),
    "asynchronous and noise": without("noise", {"clock": ASYNCHRONOUS, "noise": 0.1}, "clock or noise"),
    "edges that change": of("clock", {"latency": "edges"}, "a number", {"latency": 0.1}, CHANGING),
    "edges that do not say": Case(RING, {"network": {"clock": {"latency": "edges"}}}, "edges with latency_ms",
                                  {"topology": f"{HERE}/slow.graphml"}),
}
CASES = {**TABLE, **LOSING, **CODED, **MIXED, **TIMED}
