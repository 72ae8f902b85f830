"""Which process holds which agents."""

from __future__ import annotations

from dataclasses import dataclass

from netac.utils.errors import InputError


@dataclass(frozen=True)
class Placement:
    """`agents` agents in contiguous blocks over `processes` processes; the first (agents mod processes) hold one more.

    Attributes:
        central: whether process 0 holds all of them instead, and the others none.

    Raises:
        InputError: more processes than agents.
    """

    agents: int
    processes: int = 1
    rank: int = 0
    central: bool = False

    def __post_init__(self) -> None:
        if self.processes > self.agents:
            raise InputError(f"a launch of {self.processes} processes needs at least as many agents", key="agents",
                             found=self.agents, valid=f"agents >= {self.processes}, or fewer processes (mpirun -n)")

    def block(self, rank: int) -> range:
        """The agents of process `rank`."""
        if self.central:
            return range(self.agents if rank else 0, self.agents)
        size, more = divmod(self.agents, self.processes)
        first = rank * size + min(rank, more)
        return range(first, first + size + (rank < more))

    @property
    def local(self) -> range:
        """The agents of this process."""
        return self.block(self.rank)

    @property
    def counts(self) -> list[int]:
        """Agents of each process."""
        return [len(self.block(rank)) for rank in range(self.processes)]

    def owner(self, agent: int) -> int:
        """The process that holds `agent`."""
        if self.central:
            return 0
        size, more = divmod(self.agents, self.processes)
        return agent // (size + 1) if agent < more * (size + 1) else more + (agent - more * (size + 1)) // size

    def describe(self, rank: int) -> str:
        """'agents 3', 'agents 6-8' or 'no agents': how a process is named in messages."""
        block = self.block(rank)
        if not block:
            return "no agents"
        return f"agents {block[0]}" if len(block) == 1 else f"agents {block[0]}-{block[-1]}"
