"""The page of the report: `page.html` filled in, with its style, its program, Plotly and the data inlined.

Texts of folders are escaped wherever they stand, data stand in a block that is no program, and the page's own policy
(Content-Security-Policy) lets a browser run these two programs alone, and load nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netac.experiment.report import tables
from netac.experiment.report.graphs import Topologies
from netac.experiment.report.reading import Exhibit
from netac.results.records import EXPERIMENT
from netac.utils.errors import InputError
from netac.utils.files import read_text
from netac.utils.pictures import PALETTE
from netac.utils.versions import version

PACKAGES = ("plotly", "jinja2")
HERE = Path(__file__).parent
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def require() -> None:
    """Refuse a report where a package that it is made with is not installed; none is loaded here."""
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(f"the report needs {' and '.join(missing)}, not installed here", key="netac report",
                         valid='pip install "netac[report]"')


def render(exhibits: Sequence[Exhibit], charts: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]],
           topologies: Topologies) -> str:
    """The whole page.

    Args:
        charts: curves and diagnostics, as `lines.charts` gives them.
        runs, topologies: as `agents.on_graphs` gives them.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs
    programs = [_lines(get_plotlyjs()), _lines((HERE / "page.js").read_text(encoding="utf-8"))]
    data = {"charts": charts, "runs": runs, "topologies": topologies.drawn}
    template = Environment(loader=FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                           lstrip_blocks=True).get_template("page.html")
    return template.render(
        policy=" ".join(_source(program) for program in programs), plotly=Markup(programs[0]),
        program=Markup(programs[1]), style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        data=Markup(as_data(data)), version=version("netac"), exhibits=exhibits, charts=charts, runs=runs,
        count=sum(len(exhibit.records) for exhibit in exhibits), tables=tables, colours=PALETTE,
        certificates=list(topologies.certified.values()), experiments=experiments(exhibits))


def as_data(data: Any) -> str:
    """JSON that ends no block it stands in, whatever texts are in it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char, escape in _ESCAPES.items():
        text = text.replace(char, escape)
    return text


def experiments(exhibits: Sequence[Exhibit]) -> list[tuple[str, str]]:
    """The experiment file of each setup's first run: its label, and its text."""
    return [(f"{exhibit.title}: {setup.label}", read_text(setup.first.folder / EXPERIMENT))
            for exhibit in exhibits for setup in exhibit.setups]


def _lines(program: str) -> str:
    """A program with line ends as a browser reads them, and nothing in it that would end its block."""
    return program.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _source(program: str) -> str:
    """What the page's policy calls a program that may run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()}'"
