"""Writes bills/*.pdf and invoices.csv, with fpdf2: `python examples/invoices/make_invoices.py`. The same bytes every time."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from fpdf import FPDF

_MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
_FONT = "Helvetica"


class Language(NamedTuple):
    """What stands on an invoice besides its contents, and how dates and amounts are written."""

    title: str
    number: str
    date: str
    customer: str
    head: tuple[str, str, str, str]
    net: str
    vat: str
    total: str
    day: str
    thousands: str
    decimal: str
    colon: str = ": "

    def amount(self, amount: Decimal) -> str:
        whole, _, cents = f"{amount:,.2f}".partition(".")
        return whole.replace(",", self.thousands) + self.decimal + cents


class Item(NamedTuple):
    description: str
    quantity: int
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


class Invoice(NamedTuple):
    file: str
    ordered_by: str
    """A column of the table: it stands in no invoice."""
    language: str
    supplier: str
    number: str
    date: date
    currency: str
    vat_percent: int
    items: tuple[Item, ...]

    @property
    def net(self) -> Decimal:
        return sum((item.amount for item in self.items), Decimal(0))

    @property
    def vat(self) -> Decimal:
        return (self.net * self.vat_percent / 100).quantize(Decimal("0.01"))


LANGUAGES = {
    "en": Language(
        "Invoice",
        "Invoice number",
        "Date",
        "Bill to",
        ("Description", "Quantity", "Unit price", "Amount"),
        "Net",
        "VAT",
        "Total",
        "%d/%m/%Y",
        ",",
        ".",
    ),
    "de": Language(
        "Rechnung",
        "Rechnungsnummer",
        "Rechnungsdatum",
        "Rechnung an",
        ("Bezeichnung", "Menge", "Einzelpreis", "Betrag"),
        "Nettobetrag",
        "MwSt.",
        "Gesamtbetrag",
        "%d.%m.%Y",
        ".",
        ",",
    ),
    "fr": Language(
        "Facture",
        "Numéro de facture",
        "Date de facturation",
        "Facturé à",
        ("Désignation", "Quantité", "Prix unitaire", "Montant"),
        "Montant HT",
        "TVA",
        "Total TTC",
        "%d/%m/%Y",
        " ",
        ",",
        " : ",
    ),
}
_CUSTOMER = "Lindenhof Library"


def _invoice(
    file: str, ordered_by: str, supplier: str, number: str, day: str, money: str, *items: tuple[str, int, str]
) -> Invoice:
    """`money`: `GBP 20`, the currency and the percentage of the tax."""
    language = file.partition("-")[0]
    currency, percent = money.split()
    bought = tuple(Item(what, how_many, Decimal(each)) for what, how_many, each in items)
    return Invoice(file, ordered_by, language, supplier, number, date.fromisoformat(day), currency, int(percent), bought)


INVOICES = [
    _invoice(
        "en-fernwood.pdf",
        "Ada",
        "Fernwood Furniture Ltd",
        "FW-2026-118",
        "2026-09-03",
        "GBP 20",
        ("Reading desk, oak", 6, "240.00"),
        ("Desk lamp", 6, "38.50"),
        ("Delivery", 1, "45.00"),
    ),
    _invoice(
        "en-quill.pdf",
        "Ben",
        "Quill & Co Stationers",
        "Q-77120",
        "2026-09-09",
        "GBP 20",
        ("Copy paper A4, box", 12, "17.95"),
        ("Index cards, pack of 100", 40, "2.10"),
    ),
    _invoice(
        "en-harbour.pdf",
        "Ada",
        "Harbour Book Wholesale",
        "2026/0931",
        "2026-09-21",
        "GBP 0",
        ("Atlas of the Northern Sea", 3, "64.00"),
        ("Birds of the Coast", 5, "22.50"),
        ("Knots and Splices", 4, "14.99"),
        ("Postage", 1, "9.80"),
    ),
    _invoice(
        "en-brightpane.pdf",
        "Ivo",
        "Brightpane Window Cleaning",
        "BP-4402",
        "2026-10-01",
        "GBP 20",
        ("Window cleaning, ground floor", 1, "180.00"),
        ("Window cleaning, upper floors", 2, "145.00"),
    ),
    _invoice(
        "de-holzmann.pdf",
        "Ada",
        "Holzmann Regalbau GmbH",
        "R-26-0412",
        "2026-09-07",
        "EUR 19",
        ("Bücherregal Buche, 2 m", 8, "319.00"),
        ("Montage je Stunde", 14, "58.00"),
    ),
    _invoice(
        "de-papierhaus.pdf",
        "Ben",
        "Papierhaus Süd",
        "55213",
        "2026-09-15",
        "EUR 19",
        ("Umschläge C5, Karton", 3, "41.90"),
        ("Stempelkissen blau", 10, "4.75"),
        ("Etiketten, Rolle", 25, "6.20"),
    ),
    _invoice(
        "de-waerme.pdf",
        "Ivo",
        "Wärme & Wasser Kundendienst",
        "WW-20261003",
        "2026-10-03",
        "EUR 19",
        ("Wartung der Heizung", 1, "240.00"),
        ("Dichtungssatz", 2, "18.40"),
        ("Anfahrt", 1, "35.00"),
    ),
    _invoice(
        "de-verlag.pdf",
        "Ada",
        "Verlag am Markt",
        "VM 1187",
        "2026-10-12",
        "EUR 7",
        ("Wörterbuch Deutsch-Arabisch", 4, "49.00"),
        ("Lesehefte für Kinder, Satz", 15, "12.80"),
    ),
    _invoice(
        "fr-reliures.pdf",
        "Ben",
        "Reliures du Canal",
        "F2026-208",
        "2026-09-11",
        "EUR 20",
        ("Reliure pleine toile", 18, "34.00"),
        ("Réparation de dos", 9, "21.50"),
    ),
    _invoice(
        "fr-lumiere.pdf",
        "Ivo",
        "Lumière et Fils",
        "LF-3319",
        "2026-09-24",
        "EUR 20",
        ("Ampoule LED E27", 60, "3.90"),
        ("Suspension verre opale", 7, "89.00"),
        ("Pose, forfait", 1, "260.00"),
    ),
    _invoice(
        "fr-presse.pdf",
        "Ada",
        "Presse Abonnements Réunis",
        "AB-90017",
        "2026-10-05",
        "EUR 2",
        ("Abonnement annuel, quotidien", 1, "415.00"),
        ("Abonnement annuel, revue mensuelle", 6, "72.00"),
    ),
    _invoice(
        "fr-plantes.pdf",
        "Ben",
        "Les Plantes de Mélusine",
        "M-0126",
        "2026-10-19",
        "EUR 20",
        ("Ficus, 180 cm", 2, "129.00"),
        ("Entretien des plantes, mois", 12, "48.00"),
        ("Terreau, sac de 20 l", 5, "8.60"),
    ),
]


def pdf_of(invoice: Invoice) -> bytes:
    """One page: who sends it, its number and date, the table of its items, and the sums."""
    words = LANGUAGES[invoice.language]
    pdf = FPDF()
    pdf.set_creation_date(_MOMENT)
    pdf.set_compression(False)  # what a library packs may differ with its version
    pdf.add_page()
    pdf.set_font(_FONT, "B", 14)
    pdf.cell(text=invoice.supplier, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)
    pdf.set_font(_FONT, "", 20)
    pdf.cell(text=words.title, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font(_FONT, "", 11)
    pdf.ln(4)

    def line(label: str, value: str) -> None:
        pdf.cell(text=f"{label}{words.colon}{value}", new_x="LMARGIN", new_y="NEXT")

    def money(amount: Decimal) -> str:
        return f"{words.amount(amount)} {invoice.currency}"

    line(words.number, invoice.number)
    line(words.date, invoice.date.strftime(words.day))
    line(words.customer, _CUSTOMER)
    pdf.ln(6)
    with pdf.table(col_widths=(5, 1, 2, 2), text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT")) as table:
        table.row(words.head)
        for item in invoice.items:
            table.row((item.description, str(item.quantity), words.amount(item.unit_price), words.amount(item.amount)))
    pdf.ln(6)
    line(words.net, money(invoice.net))
    line(f"{words.vat} {invoice.vat_percent} %", money(invoice.vat))
    line(words.total, money(invoice.net + invoice.vat))
    return bytes(pdf.output())


def write(folder: Path) -> None:
    (folder / "bills").mkdir(exist_ok=True)
    with (folder / "invoices.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "ordered_by"])
        for invoice in INVOICES:
            (folder / "bills" / invoice.file).write_bytes(pdf_of(invoice))
            table.writerow([f"bills/{invoice.file}", invoice.ordered_by])


if __name__ == "__main__":
    write(Path(__file__).parent)
