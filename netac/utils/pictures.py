"""Pictures in files that are always whole."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netac.utils.errors import InputError
from netac.utils.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, in an order of falling contrast to white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D1F")
STYLE = {
    "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10, "legend.fontsize": 9, "figure.dpi": 150,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7, "axes.axisbelow": True, "legend.frameon": False, "axes.formatter.useoffset": False,
    "pdf.fonttype": 42, "svg.hashsalt": "netac",
}


def save_figure(draw: Callable[[], Figure], file: str | Path, style: dict[Any, Any] | None = None) -> None:
    """Draw and write the picture atomically, in the format its ending names.

    Args:
        draw: makes the figure.
        file: where to write; the ending says the format (.png, .pdf, .svg).
        style: matplotlib's parameters while drawing.

    Raises:
        InputError: the ending of `file` is no format.
        RunError: `file` cannot be written.
    """
    import matplotlib
    from matplotlib.backend_bases import FigureCanvasBase

    form = Path(file).suffix.lower().lstrip(".")
    known = FigureCanvasBase.get_supported_filetypes()
    if form not in known:
        raise InputError("is not a picture format", file=file, found=Path(file).suffix,
                         valid=", ".join(f".{name}" for name in ("png", "pdf", "svg") if name in known))
    picture = io.BytesIO()
    with matplotlib.rc_context(style):
        draw().savefig(picture, format=form)
    atomic_write(file, picture.getvalue())
