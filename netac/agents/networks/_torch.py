"""PyTorch as netac uses it: one thread per process; where it is not installed, a message that says how to get it."""

from __future__ import annotations

from netac.utils.errors import InputError

try:
    import torch
except ImportError as error:
    raise InputError(f"neural networks need PyTorch, which cannot be imported: {error}",
                     valid='pip install "netac[torch]"') from error

torch.set_num_threads(1)

__all__ = ["torch"]
