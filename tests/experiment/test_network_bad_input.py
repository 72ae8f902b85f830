"""What is wrong in the table [network]: exit status 2 and one message, that names key and remedy; nothing is written.

That the remedies work is in test_remedies.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from support import network_remedies
from support.network_remedies import CASES, HERE, RING, mine
from support.remedies import nested, placed

from netac import cli

KEYS = {                # of the first words of the message, where it is not that of a table with one wrong key
    "a probability of 1.5": "network.loss.probability", "longer than the run": "network.delay.iterations",
    "too many for the graph": "network.adversaries.number", "an attack nobody knows": "network.adversaries.attack",
    "no such condition": "network.lost", "no condition is made": "network.mine.factory",
    "asynchronous and noise": "network.clock", "edges without numbers": "network.clock.latency",
    "copies on the beat": "network.clock.schedule"}
MINE: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "no such module": ({"mine": mine("Quiet") | {"factory": "no_such_module:Quiet"}}, "network.mine.factory",
                       ("cannot be imported", "no_such_module")),
    "no such class": ({"mine": mine("Loud")}, "network.mine.factory", ("cannot be imported", "Loud", "valid: ")),
    "no path": ({"mine": mine("Quiet") | {"factory": "networks_of_mine"}}, "network.mine.factory", ("valid: ",)),
    "other arguments": ({"mine": mine("Quiet") | {"kwargs": {"loud": 1}}}, "network.mine.factory",
                        ("failed: TypeError", "unexpected keyword argument 'loud'")),
    "it fails": ({"mine": mine("Failing")}, "network.mine.factory",
                 ("failed: ValueError: too quiet", "networks_of_mine")),
    "options beside it": ({"mine": mine("Quiet") | {"kwarg": {}}}, "network.mine.kwarg",
                          ("unknown key", "did you mean 'kwargs'", "valid: ")),
    "misspelt": ({"trimed-mean": 1}, "network.trimed-mean", ("did you mean 'trimmed-mean'", "valid: ")),
    "misspelt option": ({"loss": {"probabilty": 0.1}}, "network.loss.probabilty", ("did you mean 'probability'",)),
    "no such file": ({"loss-schedule": "nowhere.csv"}, "network.loss-schedule.path",
                     ("there is no such file", "valid: "))}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> Callable[[dict], str]:
    """`told(tables)`: the one message with which `netac run` refuses them."""
    def run(tables: dict) -> str:
        files, file = tmp_path / "files", tmp_path / "network.toml"
        files.mkdir()
        network_remedies.write_files(files)
        file.write_text(tomli_w.dumps(placed(tables, files)))
        monkeypatch.setattr(sys, "argv", ["netac", "run", str(file), "--out", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said, message = capfd.readouterr()
        assert ended.value.code == 2 and said == "" and message.count("\n") == 1, message
        assert message.startswith("netac: error: ") and not (tmp_path / "out").exists()
        assert {path.name for path in tmp_path.iterdir()} == {"files", "network.toml"}
        return message.removeprefix("netac: error: ").removeprefix(f"{file}: ")

    return run


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_fit_is_told_before_anything_is_written(name, told):
    case = CASES[name]
    message = told(nested(case.base, case.wrong))
    of_file = re.sub(r"^\S+\.csv: ", "", message)
    assert of_file.startswith(f"{KEYS[name]}: " if name in KEYS else "network"), message
    assert "valid: " in message and case.offers in message, message
    assert HERE not in message


@pytest.mark.parametrize("name", MINE)
def test_what_is_wrong_with_names_and_factories_is_told(name, told):
    table, key, words = MINE[name]
    message = told(RING | {"network": table})
    assert message.startswith(f"{key}: "), message
    for word in words:
        assert word in message, message
