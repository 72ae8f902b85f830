"""Hosts of their own on this machine: network namespaces on one switch, each with a name, a /dev/shm and an ssh.

Only root can make them; `make` answers None where that is not so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("unshare", "nsenter", "ip", "hostname", "mount")
BEGIN = """\
mount -t tmpfs -o size=64m tmpfs /dev/shm
hostname "$1"
mount --bind "$2" /etc/hosts
ip link set lo up
echo ready
exec sleep infinity
"""
SSH = """\
#!/bin/sh
# stands in for ssh: [OPTION ...] HOST COMMAND..., in an environment that is new, as ssh's is
while case $1 in -*) true;; *) false;; esac; do shift; done
host=$1
shift
exec nsenter -t "$(cat "{folder}/$host.pid")" -n -u -m env -i HOME="$HOME" PATH=/usr/bin:/bin sh -c "$*"
"""


@dataclass(frozen=True)
class Host:
    """One of them.

    Attributes:
        name: which the others know it by.
        holder: the process that keeps it, whose end is the host's.
        outside: its end of the cable at the switch.
        switch: the process that keeps the switch.
    """

    name: str
    holder: int
    outside: str
    switch: int

    def command(self, *words: str | Path) -> list[str]:
        """A command that runs these words on this host."""
        return ["nsenter", "-t", str(self.holder), "-n", "-u", "-m", *map(str, words)]

    def unplug(self) -> None:
        """Take its link down."""
        subprocess.run(["nsenter", "-t", str(self.switch), "-n", "ip", "link", "set", self.outside, "down"], check=True)

    def plug(self) -> None:
        """Take its link up again."""
        subprocess.run(["nsenter", "-t", str(self.switch), "-n", "ip", "link", "set", self.outside, "up"], check=True)

    def processes(self) -> dict[int, str]:
        """Command lines of what runs on it, by process id, its holder left out."""
        return {pid: line for pid, line in _inside(self.holder).items() if pid != self.holder}


@contextmanager
def cluster(folder: Path, names: Sequence[str]) -> Iterator[tuple[dict[str, Host], Path]]:
    """Hosts by name, and the program that stands in for ssh; what runs on them is killed in the end.

    Args:
        folder: where the files they need are put.
    """
    holders: list[subprocess.Popen[str]] = []
    hosts = folder / "hosts"
    addresses = {name: f"10.77.0.{k + 1}" for k, name in enumerate(names)}
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items()))
    ssh = folder / "ssh"
    ssh.write_text(SSH.format(folder=folder))
    ssh.chmod(0o755)

    def hold(name: str) -> int:
        process = subprocess.Popen(["unshare", "-n", "-u", "-m", "sh", "-ec", BEGIN, "sh", name, str(hosts)], text=True,
                                   stdout=subprocess.PIPE)
        holders.append(process)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        return process.pid

    try:
        switch = hold("switch")
        _in_network(switch, "ip link add br0 type bridge && ip link set br0 up")
        found = {}
        for k, name in enumerate(names):
            found[name] = Host(name, hold(name), f"port{k}", switch)
            (folder / f"{name}.pid").write_text(str(found[name].holder))
            _in_network(switch, f"ip link add port{k} type veth peer name eth0 netns {found[name].holder} &&"
                                f" ip link set port{k} master br0 up")
            _in_network(found[name].holder, f"ip address add {addresses[name]}/24 dev eth0 && ip link set eth0 up && "
                                            "{ tc qdisc add dev eth0 root netem delay 1ms 2> /dev/null || true; }")
        yield found, ssh
    finally:
        for holder in holders:
            for pid in _inside(holder.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            holder.wait()
            assert holder.stdout is not None
            holder.stdout.close()


def possible() -> bool:
    """Whether they can be made here."""
    return os.geteuid() == 0 and all(map(shutil.which, TOOLS)) and not subprocess.run(
        ["unshare", "-n", "-u", "-m", "ip", "link", "add", "br0", "type", "bridge"], capture_output=True).returncode


def _in_network(holder: int, lines: str) -> None:
    subprocess.run(["nsenter", "-t", str(holder), "-n", "sh", "-ec", textwrap.dedent(lines)], check=True)


def _inside(holder: int) -> dict[int, str]:
    """Command lines by id of the processes in the network namespace of a process."""
    def network(pid: str) -> str:
        with suppress(OSError):
            return os.readlink(f"/proc/{pid}/ns/net")
        return ""

    wanted, found = network(str(holder)), dict[int, str]()
    for entry in os.listdir("/proc"):
        if wanted and entry.isdecimal() and network(entry) == wanted:
            with suppress(OSError):
                found[int(entry)] = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found
