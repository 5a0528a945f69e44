"""Writes tickets.xlsx: `python examples/tickets/workbook.py`. What you change in Excel is as good."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

_TICKETS = [
    ("Ticket", "Received", "Customer", "Subject", "Message"),
    (
        2041,
        date(2026, 10, 5),
        "A. Okafor",
        "Where is my parcel?",
        "Order 10452 should have arrived on Friday. The tracking has not moved.",
    ),
    (
        2042,
        date(2026, 10, 5),
        "J. Lindqvist",
        "Charged twice",
        "My card was charged twice for order 10460. I want a refund of one payment.",
    ),
    (2043, date(2026, 10, 5), "M. Haddad", "Login", "The login fails with an error since the update. My last order was 10377."),
    (2044, date(2026, 10, 6), "S. Weber", "Rechnung", "Ich finde die Rechnung zu 10391 nicht. Can you send the invoice again?"),
    (2045, date(2026, 10, 6), "R. Costa", "URGENT: wrong address", "Order 10466 goes to my old address, change it today!"),
    (
        2046,
        date(2026, 10, 6),
        "P. Novak",
        "A suggestion",
        "A minor one: show the weight of a parcel. I thought of it with order 10402.",
    ),
    (2047, date(2026, 10, 7), "L. Moreau", "Broken on arrival", "The lamp of order 10439 arrived broken. I would like a refund."),
    (2048, date(2026, 10, 7), "T. Kim", "App crashes", "The app crashes on the screen with order 10471, every time."),
    (2049, date(2026, 10, 7), "E. Ferrari", "Thanks", "Order 10433 is lovely. That is all."),
    (
        2050,
        date(2026, 10, 8),
        "N. Aziz",
        "Late again",
        "The courier has not delivered 10455. This is unacceptable, answer immediately.",
    ),
]
_MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
# The epoch of Excel's days, and the earliest moment that a zip archive can name.
_DAY_ZERO = date(1899, 12, 30)
_MOMENT = (1980, 1, 1, 0, 0, 0)


def _cell(place: str, value: object) -> str:
    match value:
        case date():
            return f'<c r="{place}" s="1"><v>{(value - _DAY_ZERO).days}</v></c>'
        case int():
            return f'<c r="{place}"><v>{value}</v></c>'
        case _:
            return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'


def _parts() -> dict[str, str]:
    rows = "".join(
        f'<row r="{number}">{"".join(_cell(f"{'ABCDE'[column]}{number}", value) for column, value in enumerate(row))}</row>'
        for number, row in enumerate(_TICKETS, 1)
    )
    fonts = "<fonts><font/></fonts><fills><fill/></fills><borders><border/></borders><cellStyleXfs><xf/></cellStyleXfs>"
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Tickets" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f"<styleSheet {_MAIN}>{fonts}"
        '<cellXfs><xf/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f"<worksheet {_MAIN}><sheetData>{rows}</sheetData></worksheet>",
    }


def write(path: Path) -> None:
    """The same bytes every time: nothing is compressed, and every part is from 1980."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in _parts().items():
            archive.writestr(zipfile.ZipInfo(name, _MOMENT), _HEAD + text)


if __name__ == "__main__":
    write(Path(__file__).with_name("tickets.xlsx"))
