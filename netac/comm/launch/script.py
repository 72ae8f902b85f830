"""`python -m netac.comm.launch.script FILE.py ARGUMENT ...`: a user's script, and word to the launcher at its end.

The script is `__main__`, finds its folder first on the path, and its errors are told as Python tells them.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import types

from netac.comm.launch import notices
from netac.comm.launch.rank import finished


def main() -> None:
    """Run the script that the command line names."""
    del sys.argv[0]
    file = sys.argv[0]
    notices.begin()
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(file))
    script = types.ModuleType("__main__")
    script.__dict__.update(__file__=file, __builtins__=builtins)
    sys.modules["__main__"] = script
    try:
        with io.open_code(os.path.abspath(file)) as opened:
            source = opened.read()
        exec(compile(source, file, "exec"), script.__dict__)
    except SystemExit as ended:
        if not ended.code:
            finished()
        raise
    except Exception as error:
        trace = error.__traceback__
        error = error.with_traceback(trace.tb_next if trace else None)
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)
    finished()


if __name__ == "__main__":
    main()
