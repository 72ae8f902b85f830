"""`netac` in a launch whose rank NETAC_TEST_OTHER_RANK computes, as it says, with other kernels of numpy or torch."""

import os
import sys

from netac.cli import main
from netac.comm import launch
from netac.utils import kernels

comm, true = launch.communicator(), kernels.fingerprint
if comm.rank == int(os.environ["NETAC_TEST_OTHER_RANK"]):
    kernels.fingerprint = lambda: true() | {os.environ["NETAC_TEST_OTHER_LIBRARY"]: "0badcafe"}
sys.exit(main())
