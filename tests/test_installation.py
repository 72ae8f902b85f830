"""What is installed is found wherever a script lies, and a clone holds what was committed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.launching import ROOT

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_editable(sys.argv[1]))"
SCRIPT = """
import site, sys
site.addsitedir(sys.argv[1])
import netac
print(netac.__file__)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone called netac, as `git clone` names it, of the files that are there now."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    folder = tmp_path / "netac"
    folder.mkdir()
    tracked = subprocess.run(["git", "ls-files", "-z", "netac", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"],
                             cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, tracked):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


def test_a_script_beside_the_clone_imports_the_package(clone, tmp_path):
    """Python finds the clone itself, a folder called netac beside the script, before what an import hook would give."""
    pytest.importorskip("setuptools")
    built = tmp_path / "built"
    built.mkdir()
    done = subprocess.run([sys.executable, "-c", BUILD, built], cwd=clone, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    wheel = built / done.stdout.split()[-1]
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, tmp_path / "site"], check=True, timeout=60)
    (tmp_path / "api.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "-S", tmp_path / "api.py", tmp_path / "site"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == clone / "netac" / "__init__.py"


def test_a_clone_with_windows_line_ends_has_the_same_bytes(tmp_path):
    """`core.autocrlf` must not change what bash, hashes and readers of files see."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    for name in ("as-is", "true"):
        setting = ["-c", f"core.autocrlf={name}"] if name == "true" else ["-c", "core.autocrlf=false"]
        subprocess.run(["git", *setting, "clone", "-q", ROOT, tmp_path / name], check=True, capture_output=True,
                       timeout=100)
    files = [path for path in (tmp_path / "as-is").rglob("*") if path.is_file() and ".git" not in path.parts]
    assert len(files) > 300
    changed = [path.name for path in files
               if path.read_bytes() != (tmp_path / "true" / path.relative_to(tmp_path / "as-is")).read_bytes()]
    assert changed == []
