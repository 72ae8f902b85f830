"""How the watchdogs of a launch's processes hear of one another: small datagrams, sent only while something stalls."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpi4py import MPI

LONGEST = 4096      # bytes of a datagram
TOKEN = 16          # bytes at its beginning that the processes of a launch share


class Mesh:
    """Says something to all other processes, and hears what they say; what is lost is said again.

    MPI is the main thread's alone, and a shared page would not reach other hosts.  Without sockets nobody is heard.

    Args:
        comm: the launch's communicator; all processes call together.
    """

    def __init__(self, comm: MPI.Intracomm):
        self._rank, self._socket = comm.rank, _socket()
        here = (_network(), self._socket.getsockname()[1], _addresses()) if self._socket else None
        told = comm.allgather((here, os.urandom(TOKEN) if comm.rank == 0 else b""))
        self._token = told[0][1]
        self._peers: dict[int, list[tuple[str, int]]] = {}
        for rank, (there, _) in enumerate(told):
            if rank != comm.rank and here and there:
                names = ["127.0.0.1"] if there[0] == here[0] else there[2]
                self._peers[rank] = [(name, there[1]) for name in names]

    def say(self, what: dict[str, Any]) -> None:
        """Tell all others."""
        data = self._token + json.dumps(what | {"rank": self._rank}).encode()
        for places in self._peers.values():
            for place in places:
                with suppress(OSError):
                    if self._socket:
                        self._socket.sendto(data, place)

    def heard(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(rank, what it said), as long as there is something."""
        while self._socket:
            try:
                data, place = self._socket.recvfrom(LONGEST)
            except OSError:
                return
            with suppress(ValueError, KeyError, TypeError):
                what = json.loads(data[TOKEN:]) if data[:TOKEN] == self._token else {}
                if (rank := what["rank"]) in self._peers:
                    self._peers[rank] = [place]         # of several addresses the one that works
                    yield rank, what

    def close(self) -> None:
        """Hear no more."""
        if self._socket:
            self._socket.close()


def _socket() -> socket.socket | None:
    try:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind(("", 0))
    except OSError:
        return None
    return made


def _network() -> str:
    """Equal for processes that reach each other at 127.0.0.1."""
    with suppress(OSError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/net')}"
    return socket.gethostname()


def _addresses() -> list[str]:
    """Where other hosts may reach this one."""
    found: list[str] = []
    with suppress(OSError):
        found = re.findall(r"\|-- ([0-9.]+)\s+/32 host LOCAL", Path("/proc/net/fib_trie").read_text())
    with suppress(OSError):
        found += [str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname().encode(), None, socket.AF_INET)]
    return sorted({place for place in found if not place.startswith("127.")})
