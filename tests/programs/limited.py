"""`netac` with a limit on the size of files (as a full disk, but without one): limited.py BYTES netac-arguments."""

import resource
import sys

from netac.cli import main
from netac.comm import launch

launch.communicator()      # MPI makes its own files first
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
del sys.argv[1]
main()
