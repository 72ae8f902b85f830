"""`python -m netac.comm.launch -n N FILE ...` is `run_mpi.sh -n N FILE ...` in the environment of this interpreter."""

import signal
import sys

from netac.comm.launch.launcher import ME, main
from netac.comm.launch.outputs import printed, ready

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)        # no traceback for ^C before there is a launch
ready()
status = main(sys.argv[1:])
sys.exit(status if printed(ME) else status or 1)
