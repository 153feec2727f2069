"""Gnumeric's files, as far as tasks go: cells with texts and numbers, written plainly and read as Gnumeric writes them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

SUFFIX = ".gnumeric"
_SPACE = "http://www.gnumeric.org/v10.dtd"
_NUMBER, _TEXT = 40, 60
_MOST_BYTES = 4 << 20


def write_sheet(rows: Sequence[Sequence[str]]) -> bytes:
    """Return a workbook of one sheet; what reads as a number is one."""
    cells = [
        f'<gmr:Cell Row="{row}" Col="{column}" ValueType="{_NUMBER if _is_number(value) else _TEXT}">'
        f"{escape(value)}</gmr:Cell>"
        for row, values in enumerate(rows)
        for column, value in enumerate(values)
        if value
    ]
    sheet = f"<gmr:Sheet><gmr:Name>Sheet1</gmr:Name><gmr:Cells>{''.join(cells)}</gmr:Cells></gmr:Sheet>"
    name = '<gmr:SheetNameIndex><gmr:SheetName gmr:Cols="256" gmr:Rows="65536">Sheet1</gmr:SheetName></gmr:SheetNameIndex>'
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<gmr:Workbook xmlns:gmr="{_SPACE}">'
    return f"{head}{name}<gmr:Sheets>{sheet}</gmr:Sheets></gmr:Workbook>".encode()


def read_sheet(content: bytes) -> bytes | None:
    """Return the cells of a workbook, a line `row,column: content` each in order; None where it is no workbook."""
    try:
        if content.startswith(b"\x1f\x8b"):
            content = zlib.decompressobj(wbits=31).decompress(content, _MOST_BYTES)
        root = ElementTree.fromstring(content)
    except (zlib.error, ElementTree.ParseError):
        return None
    if root.tag != f"{{{_SPACE}}}Workbook":
        return None
    cells = {
        (int(cell.get("Row", "0")), int(cell.get("Col", "0"))): cell.text or ""
        for cell in root.iter(f"{{{_SPACE}}}Cell")
    }
    return "".join(
        f"{row},{column}: {text}\n" for (row, column), text in sorted(cells.items()) if text
    ).encode()


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
