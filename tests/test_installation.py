"""Clones: wherever they lie, whatever git makes of line ends, and scripts beside them."""

from __future__ import annotations

import filecmp
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest
from support.launching import ROOT

CLEAN = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL"}}


def run(words: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run to its end, with its outputs."""
    return subprocess.run(words, cwd=cwd, env=CLEAN, text=True, capture_output=True, timeout=100)


def clone(into: Path, *options: str) -> Path:
    """A clone of this repository."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no git repository")
    done = run(["git", "clone", "--quiet", "--depth", "1", *options, f"file://{ROOT}", into], into.parent)
    assert done.returncode == 0, done.stderr
    return into


def test_all_clones_have_the_same_bytes(tmp_path):
    plain = clone(tmp_path / "plain", "-c", "core.autocrlf=false")
    windows = clone(tmp_path / "windows", "-c", "core.autocrlf=true", "-c", "core.eol=crlf")
    files = run(["git", "ls-files"], plain).stdout.splitlines()
    assert {"run_mpi.sh", "examples/coordination.toml", "docs/demo.png"} <= set(files)
    assert filecmp.cmpfiles(plain, windows, files, shallow=False)[1:] == ([], [])


@pytest.fixture
def editable(tmp_path: Path) -> Path:
    """The Python of an environment with an editable install of a clone called netac, which lies in `tmp_path`."""
    setuptools = pytest.importorskip("setuptools")
    folder = tmp_path / "netac"
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "netac/__init__.py", "netac/__main__.py"):
        (folder / file).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(ROOT / file, folder / file)
    done = run([sys.executable, "-c", "import sys; from setuptools.build_meta import build_editable\n"
                                      "build_editable(sys.argv[1])", tmp_path], folder)
    assert done.returncode == 0, (setuptools.__version__, done.stderr)
    venv.create(tmp_path / "env", symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(tmp_path / "env")}))
    wheel, = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    return tmp_path / "env" / "bin" / "python"


def test_a_script_beside_the_clone_imports_netac(editable, tmp_path):
    (tmp_path / "api.py").write_text("import netac, netac.__main__\nprint(netac.__file__, netac.__main__.__file__)\n")
    for cwd in (tmp_path, tmp_path / "netac", Path("/")):
        done = run([editable, tmp_path / "api.py"], cwd)
        package = tmp_path / "netac" / "netac"
        assert done.stdout.split() == [str(package / "__init__.py"), str(package / "__main__.py")], done.stderr
    done = run([editable, "-c", "import netac; print(netac.__file__)"], tmp_path)
    assert done.stdout.split() == [str(package / "__init__.py")], done.stderr


@pytest.fixture
def make(tmp_path: Path):
    """`make(target, ...)` in a folder whose path has a space, with a Python that makes environments of no packages."""
    if not shutil.which("make"):
        pytest.skip("no make")
    folder = tmp_path / "my clone"
    folder.mkdir()
    for file in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, folder)
    python = tmp_path / "python"
    python.write_text(textwrap.dedent("""\
        #!/usr/bin/env bash
        if [ "$1 $2" = "-m venv" ]; then
            mkdir -p "$3/bin"
            for name in python ruff mypy mkdocs netac; do
                printf '#!/bin/sh\\necho "$PWD: %s $*" >> ran\\n' $name > "$3/bin/$name"
                chmod +x "$3/bin/$name"
            done
        fi
        """))
    python.chmod(0o755)
    return lambda *words: run(["make", f"PYTHON={python}", *words], folder)


def test_make_works_in_a_folder_whose_path_has_a_space(make, tmp_path):
    folder = tmp_path / "my clone"
    for target in ("venv", "lint", "docs", "test"):
        done = make(target)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"python", "my clone"}
    assert {path.name for path in folder.iterdir() if not path.is_file()} == {".venv"}
    assert (folder / ".venv" / ".installed-all").exists()
    ran = (folder / "ran").read_text()
    assert f"{folder}: python -m pip install" in ran and f"{folder}: ruff check ." in ran
    assert f"{folder}: python -m pytest" in ran and f"{folder}: mkdocs build" in ran


def test_make_says_that_venv_must_have_no_spaces(make):
    done = make("venv", "VENV=/my envs/netac")
    assert done.returncode == 2
    assert "VENV: make cannot have spaces in this path (found '/my envs/netac'" in done.stderr
