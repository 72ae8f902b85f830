"""The fingerprint of the numeric kernels: the same wherever they are, another one if a last bit is."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest

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


def test_last_bits_of_torch_show():
    code = """
import torch
torch.set_num_threads(1)
tanh = torch.tanh
torch.tanh = lambda x: torch.nextafter(tanh(x), torch.full_like(x, 2.0))
"""
    assert told(code + TELL)["torch"] != told("import torch; torch.set_num_threads(1);" + TELL)["torch"]


def test_it_takes_milliseconds():
    kernels.fingerprint()                      # with what numpy and torch set up at their first call
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        kernels.fingerprint()
        taken.append(time.perf_counter() - began)
    assert min(taken) < 0.02 if "torch" in sys.modules else min(taken) < 0.005
