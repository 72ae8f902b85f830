"""The fingerprint of the numeric kernels: the same wherever they are, another one if a last bit is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from support.launching import ROOT

from netac.utils import kernels

TELL = "from netac.utils import kernels; import json; print(json.dumps(kernels.fingerprint()))"


def told(code: str) -> dict[str, str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_processes_of_one_machine_have_the_same():
    alone = told(TELL)
    assert alone.keys() == {"numpy"}, "torch is not loaded for its fingerprint"
    with_torch = told("import torch; torch.set_num_threads(1);" + TELL)
    assert with_torch.keys() == {"numpy", "torch"} and with_torch["numpy"] == alone["numpy"]
    assert kernels.fingerprint()["numpy"] == alone["numpy"]
    assert all(len(found) == 8 and int(found, 16) >= 0 for found in with_torch.values())


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sqrt"])
def test_last_bits_of_a_kernel_show(name, monkeypatch):
    before, kernel = kernels.fingerprint()["numpy"], getattr(np, name)
    monkeypatch.setattr(np, name, lambda x: np.nextafter(kernel(x), np.inf, dtype=x.dtype))
    assert kernels.fingerprint()["numpy"] != before


@pytest.mark.parametrize("name", ["matmul", "vecdot"])
def test_products_are_rounded_in_double_precision(name, monkeypatch):
    """So that another order of their sums shows."""
    before, kernel = kernels.fingerprint()["numpy"], getattr(np, name)

    def backwards(a, b):
        if a.dtype == np.float32:
            return kernel(a, b)
        return kernel(a[..., ::-1].copy(), b[::-1].copy() if b.ndim < 3 else b[:, ::-1].copy())

    monkeypatch.setattr(np, name, backwards)
    assert kernels.fingerprint()["numpy"] != before


def test_processors_with_one_fingerprint_end_with_one_hash():
    """OpenBLAS, told to compute as on others, where it is the BLAS here, and there are any."""
    found = {}
    for core in ("", "Haswell", "Sandybridge", "Nehalem", "NEOVERSEN1", "ARMV8"):
        code = ("import sys, json, netac\n"
                "summary = netac.run(sys.argv[1], set={'iterations': 500}).summary\n"
                "print(json.dumps([summary['kernels']['numpy'], summary['parameters_sha256']]))")
        variables = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
        done = subprocess.run([sys.executable, "-c", code, ROOT / "examples" / "coordination.toml"], text=True,
                              env=variables | ({"OPENBLAS_CORETYPE": core} if core else {}), capture_output=True)
        assert done.returncode == 0, done.stderr
        fingerprint, sha256 = json.loads(done.stdout)
        assert found.setdefault(fingerprint, sha256) == sha256, core


def test_last_bits_of_torch_show():
    code = """
import torch
torch.set_num_threads(1)
tanh = torch.tanh
torch.tanh = lambda x: torch.nextafter(tanh(x), torch.full_like(x, 2.0))
"""
    assert told(code + TELL)["torch"] != told("import torch; torch.set_num_threads(1);" + TELL)["torch"]


@pytest.mark.alone
def test_it_takes_milliseconds():
    kernels.fingerprint()                      # with what numpy and torch set up at their first call
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        kernels.fingerprint()
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.02 if "torch" in sys.modules else min(taken) < 0.005
