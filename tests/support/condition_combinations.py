"""Conditions of the network put together at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from netac.experiment import config
from netac.experiment.run import checked_setting
from netac.utils.errors import InputError
from support.condition_cases import SCHEDULE, linear, neural

Choose = Callable[[Sequence[Any]], Any]
"""One of several."""

FEEDBACK, ONE_WAY = ["choco", "error", "none"], [True, False]
OPTIONS: dict[str, list[dict[str, list[Any]]]] = {            # by condition: alternatives of options' values
    "loss": [{"probability": [0.0, 0.2, 0.6, 1.0], "both_ways": ONE_WAY}],
    "gilbert-elliott": [{"to_bad": [0.2, 0.5], "to_good": [0.3, 1.0], "good_loss": [0.0, 0.1], "both_ways": ONE_WAY}],
    "loss-schedule": [{"path": [SCHEDULE], "period": [3, 4]}],
    "sleep": [{"probability": [0.2, 0.5]}, {"agents": [[0], [1, 3]], "start": [0, 2], "end": [4, 6]},
              {"fraction": [0.25, 0.5], "probability": [0.5, 1.0]}],
    "skip": [{"every": [1, 2, 3], "hold": [True, False]}],
    "event-trigger": [{"threshold": [0.0, 0.05, 2.0], "decay": [0.0, 0.5]},
                      {"threshold": [0.1, 0.5], "relative": [True]}],
    "noise": [{"deviation": [0.01, 0.1], "relative": [True, False]},
              {"step": [0.05], "rounding": ["plain", "dithered"]}],
    "delay": [{"iterations": [0, 1, 2]}, {"most": [1, 3], "least": [0, 1]}],
    "top-k": [{"fraction": [0.1, 0.5], "feedback": FEEDBACK}, {"k": [1, 4], "feedback": ["none", "choco"]}],
    "random-k": [{"fraction": [0.2, 0.6], "feedback": FEEDBACK}, {"k": [3], "unbiased": [True], "feedback": ["none"]}],
    "quantisation": [{"bits": [1, 4, 9], "bucket": [4, 512], "feedback": ["none", "choco"]},
                     {"bits": [4], "rounding": ["nearest", "contracting"], "feedback": FEEDBACK}],
    "sign": [{"bucket": [4, 512], "feedback": FEEDBACK}],
    "adversaries": [{"attack": ["sign-flip", "scaled", "random", "constant", "a-little-is-enough"],
                     "number": [1], "scale": [0.5, 2.0]}],
    "trimmed-mean": [{"f": [0, 1]}], "median": [{}], "clipping": [{"radius": [0.05, 1.0]}],
    "push-sum": [{"amplify": [1.0, 4.0]}],
    "clock": [{"latency": [0.0, 0.01], "compute": [0.01], "jitter": [0.0, 0.5], "stragglers": [0.0, [2]],
               "bandwidth": [1e5, 1e7]},
              {"schedule": ["beat"], "period": [0.01, 0.02], "latency": [0.004, 0.03], "compute": [0.004],
               "jitter": [0.5], "most": [1, 2]},
              {"schedule": ["asynchronous"], "compute": [0.01], "jitter": [1.0], "latency": [0.0, 0.008],
               "distribution": ["lognormal", "exponential"]}]}
GRAPHS = ["ring", "star", "complete", {"name": "gossip", "probability": 0.6},
          {"name": "periodic-complete", "period": 2}, "one-peer-exponential"]
REFUSED = "refused"


def combination(choose: Choose) -> dict[str, Any]:
    """A table [network] of two to four conditions."""
    left, table = sorted(OPTIONS), {"allow_insecure": True}
    for _ in range(choose([2, 2, 3, 4])):
        name = choose(left)
        left = [other for other in left if other != name]
        table[name] = {option: choose(values) for option, values in choose(OPTIONS[name]).items()}
    return table


def drawn(choose: Choose, networks: bool = False) -> dict[str, Any]:
    """An experiment under such conditions."""
    table, graph, seed = combination(choose), choose(GRAPHS), choose(range(5))
    if networks:
        return neural(choose(["cac", "cppo", "dsgt-ppo"]), graph, table, seed)
    return linear(choose(["cac", "dac", "mdac", "dnac"]), graph, table, seed)


def refusal(experiment: dict[str, Any]) -> InputError | None:
    """Why these conditions do not go together."""
    try:
        checked_setting(config.read(experiment))
    except InputError as error:
        return error
    return None


def seeded(number: int, networks: bool = False, seed: int = 1) -> list[dict[str, Any]]:
    """The first so many experiments of a generator that are not refused."""
    rng, found = random.Random(seed), []
    while len(found) < number:
        experiment = drawn(rng.choice, networks)
        if refusal(experiment) is None:
            found.append(experiment)
    return found
