#!/usr/bin/env bash
# Launches netac under whatever MPI there is: one MPI process per agent, one thread per process (see --help). This
# chooses the environment; `python -m netac.comm.launch` does the rest.
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
missing=$("$python" -c 'from importlib.util import find_spec
print(*(name for name in ("netac", "numpy", "mpi4py") if find_spec(name) is None))') || fail "$python does not work"
if [ -n "$missing" ]; then
    fault="$python lacks: $missing; run \`make venv\` here, or: pip install \"netac[mpi]\""
    [ -f "$here/netac/comm/launch/launcher.py" ] || fail "$fault"
    export NETAC_LAUNCH_FAULT="$fault" PYTHONPATH="$here"    # to check the rest of the command line, Python is enough
fi
export NETAC_LAUNCH_SCRIPT="$0"
exec "$python" -m netac.comm.launch "$@"
