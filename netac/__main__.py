"""`python -m netac` is `netac`."""

from netac.cli import main

main()
