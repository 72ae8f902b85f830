"""Pictures in files that are always whole."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netac.errors import InputError
from netac.results.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(draw: Callable[[], Figure], file: str | Path, style: Mapping[str, object] | None = None) -> None:
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
