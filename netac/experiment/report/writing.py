"""From folders to the page of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from netac.experiment.report import page
from netac.experiment.report.agents import on_graphs
from netac.experiment.report.lines import charts
from netac.experiment.report.reading import read_folders
from netac.utils.errors import InputError
from netac.utils.files import atomic_write
from netac.utils.progress import doing


def write_report(folders: Sequence[Path], out: Path, trust: bool = False) -> None:
    """Write one page of run folders and folders of comparisons, which opens without a network.

    Args:
        folders: of finished runs and of comparisons, in any order.
        out: the page, a file that ends in .html.
        trust: run topology files that folders name, although this machine has not run them.

    Raises:
        InputError: a folder cannot be read, `out` is no .html file, or a package is missing.
        RunError: `out` cannot be written.
    """
    page.require()
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError("should be a .html file", key="--out", found=str(out), valid="a name such as report.html")
    if not out.absolute().parent.is_dir():
        raise InputError("its folder does not exist", key="--out", found=str(out), valid="a file in an existing folder")
    exhibits = read_folders(folders)
    with doing("putting the curves together"):
        drawn = charts(exhibits)
    runs, topologies = on_graphs(exhibits, trust)
    with doing("writing the page"):
        atomic_write(out, page.render(exhibits, drawn, runs, topologies))
