"""The files that the pages of the documentation show."""

from __future__ import annotations

import re

from support.launching import ROOT


def shown_files(page: str) -> dict[str, str]:
    """Path -> text of the Python files that a page shows: blocks that begin with a comment that is a path."""
    blocks = re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return dict(blocks)
