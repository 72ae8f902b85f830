"""Runs every variant with networks that has as many agents as this launch has processes; process 0 prints the results.

Given a folder, the runs in its subfolders are resumed instead of begun.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from every import run_every
from support.neural_variants import NAMES, experiment

run_every(NAMES, experiment, ("wire_bytes",), sys.argv[1:])
