"""How services are written as a CSV file, and how one is read again.

Cells that a spreadsheet would run as a formula are written behind an apostrophe, which reading
takes away again; so every text survives, and none is ever run.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

COLUMNS: Final = (
    "name", "team", "tier", "description", "links", "tags", "depends_on",
    "legacy_hosts", "legacy_address", "legacy_capacity", "legacy_capacity_unit",
    "cluster", "namespace", "workload_kind", "workload", "route",
)  # fmt: skip
REQUIRED: Final = ("name", "team")
ROWS_MAX: Final = 20_000
BYTES_MAX: Final = 20 * 1024 * 1024
_CELL_MAX: Final = 20_000
"""Characters. A spreadsheet holds 32,767; no field of ours comes near."""
_RUNS = "=+\\-@\t\r＝＋－＠"
"""With these a spreadsheet takes a cell for a formula, the wide ones in some languages."""
_DEFUSE = re.compile(rf"'*[{_RUNS}]")
_DEFUSED = re.compile(rf"'+[{_RUNS}]")
_FORMULA = re.compile(r"[=@＝＠]")
"""What nobody begins a name or a sentence with. A plus or a hyphen begins phone numbers and lists,
and is read as the text that it is."""


@dataclass(frozen=True)
class Complaint:
    """What is wrong in one place. `row` is the spreadsheet's, 1 the header; 0 means the file."""

    row: int
    column: str
    message: str


@dataclass
class Table:
    """The rows of a file by their number, each as cells by column; or what is wrong with it."""

    columns: list[str] = field(default_factory=list)
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """Of every row, also of one with something wrong: others may depend on it."""


def defused(text: str) -> str:
    """The cell for a text: one that a spreadsheet would run gets an apostrophe in front."""
    return f"'{text}" if _DEFUSE.match(text) else text


def undefused(cell: str) -> str:
    """The text of a cell that `defused` made."""
    return cell[1:] if _DEFUSED.match(cell) else cell


def write_csv(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """The file, piece by piece, with a byte order mark: spreadsheets then read it as UTF-8."""
    piece = io.StringIO()
    writer = csv.writer(piece, quoting=csv.QUOTE_ALL)
    yield "\ufeff"
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([defused(row.get(column, "")) for column in COLUMNS])
        if piece.tell() > 64 * 1024:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()


def read_csv(content: bytes) -> Table:
    """Never raises: what cannot be read is a complaint, with the place."""
    table = Table()
    text = _decoded(content, table)
    if text is None:
        return table
    header, _, _rest = text.partition("\n")
    delimiter = max((",", ";", "\t"), key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            if number == 1:
                table.columns = _header(cells, table)
                if table.complaints:
                    return table
            elif number > ROWS_MAX + 1:
                _whole(
                    table,
                    f"The file has more than {ROWS_MAX:,} rows. Split it: each part is imported "
                    "alone, in any order that has what is needed first.",
                )
                return table
            elif any(cell.strip() for cell in cells):
                _row(number, cells, table)
    except csv.Error as error:
        table.complaints.append(
            Complaint(
                number + 1,
                "",
                f"From here on this is no CSV ({error}). Most often a quotation mark is missing; "
                "inside a quoted cell each one is written twice.",
            )
        )
        return table
    if not table.rows and not table.complaints:
        _whole(table, "The file holds no service: there is nothing beneath its header.")
    return table


def _decoded(content: bytes, table: Table) -> str | None:
    if not content.strip():
        _whole(table, "The file is empty.")
        return None
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        _whole(table, "The file is UTF-16 (“Unicode text”). Save it as CSV in UTF-8.")
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        table.complaints.append(
            Complaint(
                row,
                "",
                f"The file is not UTF-8: near line {row} stands the byte "
                f"0x{content[error.start]:02X}. Save it again as “CSV UTF-8”.",
            )
        )
        return None
    if "\x00" in text:
        _whole(table, "The file holds zero bytes, so it is no text. Save it as CSV in UTF-8.")
        return None
    return text


def _header(cells: list[str], table: Table) -> list[str]:
    columns = [cell.strip().lower() for cell in cells]
    while columns and not columns[-1]:
        columns.pop()
    known = ", ".join(COLUMNS)
    for at, column in enumerate(columns, start=1):
        if column not in COLUMNS:
            shown = f"“{cells[at - 1].strip()[:60]}” is no column."
            shown = shown if column else f"Cell {at} of the header is empty."
            table.complaints.append(Complaint(1, column[:60], f"{shown} There are: {known}."))
        elif column in columns[: at - 1]:
            table.complaints.append(
                Complaint(1, column, f"The column “{column}” is there twice; keep one.")
            )
    for column in REQUIRED:
        if column not in columns:
            table.complaints.append(
                Complaint(
                    1,
                    column,
                    f"The first row has to name the columns, and “{column}” is missing. Export a "
                    "CSV to see them all.",
                )
            )
    return columns


def _row(number: int, cells: list[str], table: Table) -> None:
    columns = table.columns
    at = columns.index("name")
    table.names.add(" ".join(undefused(cells[at]).split()) if at < len(cells) else "")
    beyond = [cell for cell in cells[len(columns) :] if cell.strip()]
    if beyond:
        table.complaints.append(
            Complaint(
                number,
                "",
                f"The row has {len(cells)} cells and the header {len(columns)}; a text "
                f"with a comma in it wants quotation marks. Beyond the last column: "
                f"“{beyond[0][:40]}”.",
            )
        )
        return
    row = {}
    for column, cell in zip(columns, cells, strict=False):
        if len(cell) > _CELL_MAX:
            table.complaints.append(
                Complaint(number, column, f"The cell has {len(cell):,} characters: too many.")
            )
            return
        text = undefused(cell)
        if _FORMULA.match(cell.strip()):
            table.complaints.append(
                Complaint(
                    number,
                    column,
                    f"“{cell.strip()[:40]}” begins like a formula. If it is meant as text, put an "
                    "apostrophe in front.",
                )
            )
            return
        row[column] = text
    if len(cells) < len(columns):
        table.complaints.append(
            Complaint(
                number,
                columns[len(cells)],
                f"The row ends before this column: it has {len(cells)} cells, the header "
                f"{len(columns)}.",
            )
        )
        return
    table.rows.append((number, row))


def _whole(table: Table, message: str) -> None:
    table.complaints.append(Complaint(0, "", message))
