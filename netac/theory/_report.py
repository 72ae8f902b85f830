"""An experiment's finding on the screen and in a folder: claims.csv, tables, picture.png and report.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from netac.results.tables import Cell, csv_text
from netac.theory._claims import Claim, Finding
from netac.utils.files import atomic_write
from netac.utils.pictures import STYLE, save_figure

PICTURE = "picture.png"
CLAIMS = "claims.csv"
REPORT = "report.md"


def write(finding: Finding, folder: Path, title: str, about: Sequence[str]) -> list[Path]:
    """Write a finding into a folder that exists; what is there of the same name is replaced.

    Args:
        title: of the report.
        about: lines below it: what was tested, and how.

    Returns:
        the files.
    """
    files = {f"{table.name}.csv": csv_text(table.columns, table.rows) for table in finding.tables}
    rows = [_claim_row(claim) for claim in finding.claims]
    files[CLAIMS] = csv_text(tuple(rows[0]), rows)
    files[REPORT] = _markdown(finding, title, about)
    save_figure(finding.draw, folder / PICTURE, STYLE)
    for name, text in files.items():
        atomic_write(folder / name, text)
    return [folder / name for name in (PICTURE, *files)]


def show(finding: Finding) -> None:
    """Print a finding: its tables, whose lines are never broken, then for every claim two lines."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as ScreenTable

    console = Console(highlight=False)
    for table in finding.tables:
        made = ScreenTable(title=escape(table.title), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
                           padding=(0, 1))
        for column in table.columns:
            made.add_column(escape(column), justify="right", no_wrap=True)
        for row in table.rows:
            made.add_row(*(escape(shortened(row.get(name))) for name in table.columns))
        wide = Console(width=10**6).measure(made).maximum
        Console(width=max(console.width, wide), highlight=False).print(made, "")
    for claim in finding.claims:
        colour = "green" if claim.passes else "bold red"
        console.print(f"[{colour}]{claim.verdict:>7}[/]  {escape(claim.says)} ({escape(claim.source)})\n         "
                      f"{escape(claim.measure)}: {shortened(claim.measured)}, wanted {_wanted(claim)}", soft_wrap=True)


def shortened(value: Cell) -> str:
    """A cell in about four digits."""
    if value is None:
        return "-"
    if isinstance(value, bool | str):
        return str(value).lower() if isinstance(value, bool) else value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"


def _wanted(claim: Claim) -> str:
    if not claim.tolerance:
        return f"{claim.relation} {shortened(claim.bound)}"
    return f"{claim.relation} {shortened(claim.bound)} {'+' if claim.relation == '<=' else '-'} {claim.tolerance:.2g}"


def _claim_row(claim: Claim) -> dict[str, Cell]:
    return {"claim": claim.says, "source": claim.source, "measure": claim.measure, "measured": float(claim.measured),
            "relation": claim.relation, "bound": float(claim.bound), "tolerance": float(claim.tolerance),
            "refuted": claim.refuted, "verdict": claim.verdict}


def _markdown(finding: Finding, title: str, about: Sequence[str]) -> str:
    claims = _rows(("verdict", "claim", "measured", "wanted", "source"), (
        [f"**{claim.verdict}**", claim.says, f"{shortened(claim.measured)} ({claim.measure})", _wanted(claim),
         claim.source] for claim in finding.claims))
    parts = [f"# {title}", "\n".join(about), claims, f"![{title}]({PICTURE})"]
    for table in finding.tables:
        rows = ([shortened(row.get(name)) for name in table.columns] for row in table.rows)
        parts += [f"## {table.title}", _rows(table.columns, rows), f"All digits: [{table.name}.csv]({table.name}.csv)"]
    return "\n\n".join(parts) + "\n"


def _rows(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *map(list, rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
