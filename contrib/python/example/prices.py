"""A small price validation: what the background task of the example does."""

import csv
import math
import pathlib

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "conf" / "prices"


def validate(source, report):
    """The verdict on FOLDER/source, row by row; report(percent, message) is told how far it is."""
    if pathlib.PurePath(source).name != source:
        raise ValueError(f"{source!r} is no name of a file")
    with open(FOLDER / source, newline="") as file:
        rows = list(csv.DictReader(file))
    seen, violations = set(), []
    for number, row in enumerate(rows):
        if number % max(1, len(rows) // 8) == 0:
            report(100 * number // len(rows), f"Checking row {number} of {len(rows)}...")
        for rule, broken in check(row, seen):
            if broken:
                violations.append({"row": number + 2, "rule": rule})
    verdict = "failed" if violations else "passed"
    return {
        "verdict": verdict,
        "rows": len(rows),
        "violations": len(violations),
        "examples": violations[:10],
    }


def check(row, seen):
    """(rule, whether the row breaks it) for each rule."""
    try:
        price = float(row.get("price") or row.get("close") or "")
    except ValueError:
        price = math.nan
    key = (row.get("symbol"), row.get("timestamp") or row.get("time") or row.get("date"))
    yield "price is a number above 0", not (math.isfinite(price) and price > 0)
    yield "a symbol has one price at a time", key in seen
    seen.add(key)
