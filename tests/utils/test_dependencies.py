"""Packages that are missing or do not fit are named, with a command that brings them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.launching import environment

from netac.utils import dependencies


def installed(folder: Path, package: str, version: str, code: str = "") -> str:
    """A folder in which a package of this version is installed, for PYTHONPATH."""
    (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    return os.pathsep.join(filter(None, [str(folder), environment().get("PYTHONPATH", "")]))


def netac(path: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "netac", *arguments], capture_output=True, text=True, timeout=60,
                          env=environment() | {"PYTHONPATH": path})


@pytest.mark.parametrize(("package", "version", "code", "wanted"), [
    ("pydantic", "1.10.2", "class BaseModel: pass", "pydantic<3,>=2.9"),
    ("numpy", "1.26.4", "raise AttributeError('no vecdot')", "numpy<3,>=2.1"),
    ("click", "7.1.2", "", "click<9,>=8.1")])
def test_a_dependency_that_was_replaced_is_named_with_both_versions(package, version, code, wanted, tmp_path):
    done = netac(installed(tmp_path, package, version, code), "run", "examples/coordination.toml")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"netac: error: {package} {version} is installed, and netac needs {wanted} "
                                  f'(valid: pip install "{wanted}"): '), done.stderr


def test_packages_as_they_are_fit():
    assert dependencies.unfit() is None


def remedied(name: str) -> tuple[str | None, str | None]:
    try:
        __import__(name)
    except ImportError as error:
        return dependencies.remedy(error, name)
    raise AssertionError(name)


def test_a_module_that_an_installed_package_lacks_is_not_asked_to_be_installed():
    pytest.importorskip("pettingzoo")
    about, valid = remedied("pettingzoo.sisl.waterworld_v9")
    assert about.startswith("pettingzoo 1.") and "is installed and has no such module" in about
    assert "pettingzoo.sisl.pursuit_v5" in valid and "pip" not in valid
    about, _ = remedied("pettingzoo.sisl.pursuit_v6")
    assert "did you mean 'pettingzoo.sisl.pursuit_v5'?" in about
    about, valid = remedied("pettingzoo.slis.pursuit_v5")
    assert "did you mean 'pettingzoo.sisl'?" in about and "pettingzoo.mpe" in valid


def test_a_package_that_an_extra_of_another_brings(monkeypatch):
    pytest.importorskip("pettingzoo")
    missing = ModuleNotFoundError("No module named 'Box2D'", name="Box2D")
    assert dependencies.remedy(missing, "pettingzoo.sisl.multiwalker_v9") == (None, 'pip install "pettingzoo[sisl]"')
    nobody = ModuleNotFoundError("No module named 'nobody'", name="nobody")
    assert dependencies.remedy(nobody, "pettingzoo.sisl.multiwalker_v9") == (None, None)
    monkeypatch.setitem(sys.modules, "mpe2", None)
    gone = ModuleNotFoundError("No module named 'mpe2'", name="mpe2")
    assert dependencies.remedy(gone, "mpe2.simple_tag_v3") == (None, 'pip install "netac[pettingzoo]"')
    assert dependencies.remedy(KeyError("x"), "mine") == (None, None)
