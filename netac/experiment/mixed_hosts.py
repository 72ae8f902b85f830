"""Hosts of a launch that compute with different numeric kernels: a note, or a refusal where games would drift apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netac.comm.agreement import differing
from netac.experiment.build import Setting
from netac.utils import kernels
from netac.utils.errors import InputError
from netac.utils.progress import note

if TYPE_CHECKING:
    from mpi4py import MPI


def compare_hosts(comm: MPI.Intracomm | None) -> str | None:
    """How numpy's kernels differ between the processes, in words; None where they do not, and on all but process 0."""
    return differing(comm, kernels.fingerprint()["numpy"])


def permit(setting: Setting, mixed: str | None) -> None:
    """Say on standard error what `compare_hosts` has found, if it has.

    Raises:
        InputError: every process steps the games, which would be other ones where kernels differ, and the experiment
            does not allow it.
    """
    if mixed is None:
        return
    problem = f"hosts compute with different numeric kernels ({mixed})"
    if setting.replicated and not setting.experiment.allow_mixed_hosts:
        raise InputError(f"{problem}, and every process steps the games by itself", key="allow_mixed_hosts",
                         found=False, valid="hosts of one kind, or allow_mixed_hosts = true: the games may drift apart")
    _note(problem)


def compare_networks(comm: MPI.Intracomm | None) -> None:
    """Say on standard error if torch's kernels differ; agents with networks compare them once torch is loaded."""
    found = differing(comm, kernels.fingerprint().get("torch", "none"))
    if found is not None:
        _note(f"hosts compute with different kernels of torch ({found})")


def _note(problem: str) -> None:
    note(f"{problem}: the result is not that of hosts of one kind")
