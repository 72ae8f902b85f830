"""Equal addresses in all processes of a launch that has more processes than cores.

A core that several processes share learns where their branches lead (branch predictors go by addresses).  Linux lays
out every process anew, at random, so that whoever comes next finds nothing of use: half of an iteration's time was
that.  Processes laid out alike, which run the same program, learn for one another.  Random layouts make faults of a
program harder to exploit: NETAC_RANDOM_ADDRESSES=1 keeps them (docs/security.md).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

KEEP = "NETAC_RANDOM_ADDRESSES"
_ASK, _NOT_RANDOM = 0xFFFFFFFF, 0x0040000        # of Linux' personality(2)


def lay_out_alike(processes: int, cores: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Let the programs that are started from here on be laid out alike, where they are more than the cores.

    Args:
        cores: that they may have; 0: unknown, as on other hosts, and nothing changes.

    Returns:
        Whether they will be: not where the system cannot, or must not (containers).
    """
    if not 0 < cores < processes or environ.get(KEEP) == "1":
        return False
    from netac.utils.libc import function
    personality = function("personality")
    if personality is None:
        return False
    from ctypes import c_ulong
    now = personality(c_ulong(_ASK))
    return now != -1 and personality(c_ulong(now | _NOT_RANDOM)) != -1
