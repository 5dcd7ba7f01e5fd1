#!/usr/bin/env python3
"""Write the sample prices of conf/prices again: python3 contrib/sample-prices.py [FOLDER]

Ninety trading days of five invented symbols as three sources see them, each in a form of its
own and with faults that real feeds have. The same bytes at every run. What is wrong where:

exchange.csv  a decimal slip (BOLT), a breach of low <= close (DUNE), a price that is no number (AURA)
vendor.csv    a duplicated row (CEDR), two rows in the wrong order (EMBR), a price of zero (DUNE)
broker.csv    four days 3 % off (AURA), a price that stays put for eight days (EMBR), a row without symbol
"""

import datetime
import pathlib
import random
import sys

SYMBOLS = {"AURA": 182.40, "BOLT": 64.15, "CEDR": 23.78, "DUNE": 311.05, "EMBR": 97.60}
DAYS = 90


def trading_days():
    day = datetime.date(2025, 6, 2)
    days = []
    while len(days) < DAYS:
        if day.weekday() < 5:
            days.append(day)
        day += datetime.timedelta(days=1)
    return days


def seen(rng, price):
    """What another source prints: the price give or take a few basis points."""
    return round(price * (1 + rng.uniform(-0.0005, 0.0005)), 2)


def exchange(rng, days, closes):
    rows = []
    for number, day in enumerate(days):
        for symbol in SYMBOLS:
            close = closes[symbol][number]
            opening = close * (1 + rng.gauss(0, 0.004))
            high = max(opening, close) * (1 + abs(rng.gauss(0, 0.003)))
            low = min(opening, close) * (1 - abs(rng.gauss(0, 0.003)))
            bar = [f"{value:.2f}" for value in (opening, high, low, close)]
            if (symbol, number) == ("BOLT", 33):
                bar = [f"{float(value) * 10:.2f}" for value in bar]
            if (symbol, number) == ("DUNE", 58):
                bar[2] = f"{close * 1.01:.2f}"
            if (symbol, number) == ("AURA", 71):
                bar[3] = "n/a"
            rows.append([day.isoformat(), symbol, *bar, str(rng.randrange(10**4, 10**6))])
    return ["date,symbol,open,high,low,close,volume"] + [",".join(row) for row in rows]


def vendor(rng, days, closes):
    rows = []
    for symbol in SYMBOLS:
        for number, day in enumerate(days):
            midnight = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc)
            price = f"{seen(rng, closes[symbol][number]):.2f}"
            if (symbol, number) == ("DUNE", 12):
                price = "0.00"
            rows.append([symbol, str(int(midnight.timestamp())), price])
            if (symbol, number) == ("CEDR", 40):
                rows.append(rows[-1])
            if (symbol, number) == ("EMBR", 66):
                rows[-2:] = rows[:-3:-1]
    return ["Symbol,Time,Last"] + [",".join(row) for row in rows]


def broker(rng, days, closes):
    rows = []
    for number, day in enumerate(days):
        for symbol in SYMBOLS:
            price = seen(rng, closes[symbol][number])
            if symbol == "AURA" and 24 <= number < 28:
                price = round(price * 1.03, 2)
            if symbol == "EMBR" and 45 <= number < 53:
                price = seen(rng, closes[symbol][44])
            name = "" if (symbol, number) == ("CEDR", 80) else symbol
            rows.append([f"{day:%b} {day.day} {day.year}", f'"{name}"', f"{price:.2f}"])
    return ["timestamp,symbol,price"] + [",".join(row) for row in rows]


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "conf/prices")
    rng = random.Random(2006)
    closes = {}
    for symbol, price in SYMBOLS.items():
        closes[symbol] = []
        for _ in range(DAYS):
            price *= 1 + rng.gauss(0.0003, 0.009)
            closes[symbol].append(round(price, 2))
    days = trading_days()
    for name, make, end in (
        ("exchange.csv", exchange, "\n"),
        ("vendor.csv", vendor, "\n"),
        ("broker.csv", broker, "\r\n"),
    ):
        lines = make(rng, days, closes)
        (folder / name).write_bytes("".join(line + end for line in lines).encode())


if __name__ == "__main__":
    main()
