"""`python -m netac.comm.launch -n N FILE ...` is `run_mpi.sh -n N FILE ...` in the environment of this interpreter."""

import signal
import sys

from netac.comm.launch.launcher import main

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)        # no traceback for ^C before there is a launch
sys.exit(main(sys.argv[1:]))
