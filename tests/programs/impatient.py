"""netac, whose watchdog speaks after a second: `impatient.py ARGUMENT ...` is `netac ARGUMENT ...`."""

from __future__ import annotations

from netac import cli
from netac.comm import watchdog

watchdog.NOTICE = 1.0

if __name__ == "__main__":
    cli.main()
