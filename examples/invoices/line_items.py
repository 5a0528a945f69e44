"""Prints a row for each line item of a results.jsonl, as CSV: `python examples/invoices/line_items.py results.jsonl`."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path


def main(results: Path) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["invoice", "description", "quantity", "unit_price", "amount", "currency"])
    with results.open(encoding="utf-8") as lines:
        for line in lines:
            invoice = json.loads(line)["output"]
            for item in invoice["line_items"]:
                table.writerow([invoice["invoice_number"], *item.values(), invoice["currency"]])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
