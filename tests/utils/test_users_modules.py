"""A user's folder comes first for its own files, and is in nobody else's way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from support.launching import environment

from netac.utils import plugins
from netac.utils.errors import InputError, raised, users_line
from netac.utils.plugins import Factory

FACTORY = "def make():\n    return {!r}\n"


def folder(path: Path, **files: str) -> Path:
    """A folder with these modules."""
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.py").write_text(text)
    return path


def loaded(where: Path, name: str) -> object:
    """What `name:make` gives, looked for in the folder."""
    return plugins.import_path(Factory(factory=f"{name}:make", folder=str(where)), "env")()


@pytest.mark.parametrize("name", ["test", "random", "types", "numpy", "html", "queue", "networkx"])
def test_the_folder_comes_before_what_python_and_packages_call_so(name, tmp_path):
    before = {each: sys.modules[each] for each in sys.modules if each.partition(".")[0] == name}
    mine = folder(tmp_path / "mine", **{name: FACTORY.format("mine")})
    assert loaded(mine, name) == loaded(mine, name) == "mine"
    after = {each: sys.modules[each] for each in sys.modules if each.partition(".")[0] == name}
    assert {key: after[key] for key in before} == before
    assert all(str(mine) not in str(getattr(each, "__file__", "")) for each in after.values())


def test_two_folders_with_modules_of_one_name_have_their_own_with_their_own_neighbours(tmp_path):
    make = "import aide_of_mine\n\n\ndef make():\n    return aide_of_mine.WHO\n"
    one = folder(tmp_path / "one", experiment_of_mine=make, aide_of_mine="WHO = 'one'")
    two = folder(tmp_path / "two", experiment_of_mine=make, aide_of_mine="WHO = 'two'")
    assert [loaded(where, "experiment_of_mine") for where in (one, two, one, two)] == ["one", "two", "one", "two"]


def test_a_package_of_the_folder(tmp_path):
    mine = folder(tmp_path / "mine")
    folder(mine / "statistics", __init__="", games="from . import parts\n\n\ndef make():\n    return parts.X\n",
           parts="X = 3\n")
    assert loaded(mine, "statistics.games") == 3
    import statistics
    assert statistics.mean([1, 3]) == 2


def test_netac_is_never_replaced(tmp_path):
    own = "import netac\n\n\ndef make():\n    return netac.run\n"
    mine = folder(tmp_path / "mine", netac="raise SystemExit", own_of_mine=own)
    import netac
    assert loaded(mine, "own_of_mine") is netac.run


def test_what_has_no_such_function_is_named_with_its_file(tmp_path):
    mine = folder(tmp_path / "mine", arena_of_mine="def maker():\n    pass\n")
    with pytest.raises(InputError, match=rf"did you mean 'maker'.*the module is {mine}/arena_of_mine.py"):
        loaded(mine, "arena_of_mine")
    with pytest.raises(InputError, match=r"env.factory: cannot be imported: .*the module is .*random.py"):
        loaded(tmp_path, "random")


def test_a_module_in_utf_16_is_named_and_a_byte_order_mark_is_none_of_its_text(tmp_path):
    mine = folder(tmp_path / "mine")
    (mine / "wide_of_mine.py").write_text(FACTORY.format("mine"), encoding="utf-16")
    with pytest.raises(InputError, match=r"mine/wide_of_mine.py: is UTF-16 text .*valid: the same text saved as UTF-8"):
        loaded(mine, "wide_of_mine")
    (mine / "marked_of_mine.py").write_text(FACTORY.format("mine"), encoding="utf-8-sig")
    assert loaded(mine, "marked_of_mine") == "mine"


def test_a_topology_imports_its_neighbours_however_netac_is_started(tmp_path):
    mine = folder(tmp_path / "mine", ring="import rounds\n\n\ndef graph(t, n):\n    return rounds.ring(n)\n",
                  rounds="import networkx as nx\n\n\ndef ring(n):\n    return nx.cycle_graph(n)\n")
    tables = {"agents": 3, "iterations": 2, "env": "coordination", "topology": "ring.py", "algorithm": "cac"}
    (mine / "mine.toml").write_text(tomli_w.dumps(tables))
    netac = Path(sys.executable).with_name("netac")
    for start in ([sys.executable, "-m", "netac"], [netac], [sys.executable, "-P", "-m", "netac"]):
        for where in (mine, tmp_path):
            done = subprocess.run([*start, "run", mine / "mine.toml", "--out", tmp_path / "out"], cwd=where,
                                  env=environment(), capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            subprocess.run(["rm", "-r", tmp_path / "out"], check=True)


def test_the_line_to_look_at_is_the_users_own_and_else_that_of_a_package(tmp_path):
    mine = folder(tmp_path / "mine", deep="import json\n\n\ndef make(text='{'):\n    return inner(text)\n\n\n"
                                          "def inner(text):\n    return json.loads(text)\n")
    make = plugins.import_path(Factory(factory="deep:make", folder=str(mine)), "env")
    with pytest.raises(ValueError) as caught:
        make()
    assert users_line(caught.value).endswith("mine/deep.py, line 9, in inner")
    assert raised(caught.value).startswith("JSONDecodeError: Expecting ")
    import json
    with pytest.raises(ValueError) as caught:
        json.loads("{")
    assert "json/decoder.py, line" not in users_line(caught.value)        # this test is the user's here
    caught.value.__traceback__ = caught.value.__traceback__.tb_next
    assert users_line(caught.value) is None and "json/" in raised(caught.value)
