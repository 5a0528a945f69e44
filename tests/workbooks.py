"""Small .xlsx workbooks, written part by part, so that a test can spoil any of them."""

from __future__ import annotations

import io
import zipfile
from xml.sax.saxutils import escape

TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
# Formats of cells by number: 1 a date, 2 date and time, 3 a time, 4 a duration.
STYLES = (
    f'<styleSheet {MAIN}><numFmts count="1"><numFmt numFmtId="170" formatCode="[h]:mm:ss"/></numFmts><cellXfs count="5">'
    + "".join(f'<xf numFmtId="{number}"/>' for number in (0, 14, 22, 21, 170))
    + "</cellXfs></styleSheet>"
)


def cell(reference: str, value: str, kind: str = "", style: int = 0) -> str:
    return f'<c r="{reference}"{f' t="{kind}"' if kind else ""}{f' s="{style}"' if style else ""}><v>{escape(value)}</v></c>'


def row(number: int, *values: object, first: str = "A") -> str:
    """A text becomes an inline string, everything else a number; None is no cell."""
    cells = []
    for index, value in enumerate(values):
        reference = f"{chr(ord(first) + index)}{number}"
        if isinstance(value, str):
            cells.append(f'<c r="{reference}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>')
        elif value is not None:
            cells.append(cell(reference, str(value)))
    return f'<row r="{number}">{"".join(cells)}</row>'


def sheet(*rows: str) -> str:
    data = f"<sheetData>{''.join(rows)}</sheetData>"
    return f'<?xml version="1.0" encoding="UTF-8"?><worksheet {MAIN}><dimension ref="A1"/>{data}</worksheet>'


def texts(*values: str) -> str:
    return f'<sst {MAIN} uniqueCount="{len(values)}">{"".join(f"<si><t>{escape(value)}</t></si>" for value in values)}</sst>'


def parts(sheets: dict[str, str], shared: str | None = None, **states: str) -> dict[str, str | bytes]:
    names = [
        f'<sheet name="{escape(name)}" sheetId="{number}" state="{states.get(name, "visible")}" r:id="rId{number}"/>'
        for number, name in enumerate(sheets, 1)
    ]
    relations = [
        *(
            f'<Relationship Id="rId{number}" Type="{TYPES}worksheet" Target="worksheets/sheet{number}.xml"/>'
            for number in range(1, len(sheets) + 1)
        ),
        f'<Relationship Id="rId98" Type="{TYPES}styles" Target="styles.xml"/>',
        f'<Relationship Id="rId99" Type="{TYPES}sharedStrings" Target="/xl/sharedStrings.xml"/>',
    ]
    found: dict[str, str | bytes] = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": f'<R><Relationship Id="rId1" Type="{TYPES}officeDocument" Target="xl/workbook.xml"/></R>',
        "xl/workbook.xml": f'<workbook {MAIN} xmlns:r="{TYPES[:-1]}"><workbookPr/><sheets>{"".join(names)}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f"<Relationships>{''.join(relations)}</Relationships>",
        "xl/styles.xml": STYLES,
    }
    if shared is not None:
        found["xl/sharedStrings.xml"] = shared
    return found | {f"xl/worksheets/sheet{number}.xml": text for number, text in enumerate(sheets.values(), 1)}


def packed(found: dict[str, str | bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    return data.getvalue()


def workbook(*rows: str, shared: str | None = None) -> bytes:
    return packed(parts({"Sheet1": sheet(*rows)}, shared))
