#!/usr/bin/env bash
# Launches netac under whatever MPI there is: one MPI process per agent, one thread per process (see --help). This
# chooses the environment; netac.comm.launch, as `python -m netac.comm.launch`, does the rest.
set -euo pipefail

fail() { printf 'run_mpi.sh: %s\n' "$*" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The .venv beside this script comes first unless another environment that has netac is active.
if [ -x "$here/.venv/bin/python" ]; then
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || ! command -v netac > /dev/null; then
        PATH="$here/.venv/bin:$PATH"
    fi
fi
if ! python=$(command -v python3 || command -v python); then
    [ -n "${MPIRUN:-$(command -v mpirun || command -v mpiexec)}" ] || fail "no MPI found: neither mpirun nor mpiexec" \
        "is on PATH; install one with: pip install \"netac[mpi]\" (or name your own: MPIRUN=/path/to/mpirun)"
    fail "no python3 on PATH"
fi
export NETAC_LAUNCH_SCRIPT="$0"
shopt -s execfail
exec "$python" -c '
import os, sys
from importlib.util import find_spec
here, python = sys.argv[1:3]
del sys.argv[1:3]
missing = [name for name in ("netac", "numpy", "mpi4py") if find_spec(name) is None]
if missing:
    fault = "%s lacks: %s; run `make venv` here, or: pip install \"netac[mpi]\"" % (python, " ".join(missing))
    if not os.path.isfile(os.path.join(here, "netac/comm/launch/launcher.py")):
        print("run_mpi.sh:", fault, file=sys.stderr)
        sys.exit(2)
    os.environ["NETAC_LAUNCH_FAULT"] = fault    # to check the rest of the command line, Python is enough
    sys.path.insert(0, here)
import netac.comm.launch.__main__
' "$here" "$python" "$@" || fail "$python does not work"
