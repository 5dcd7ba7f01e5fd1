#!/usr/bin/env python3
"""Write three sources of prices: prices.py FOLDER BYTES

Rows of symbol, timestamp, price and volume, ordered by symbol and by time, a minute apart; all
sources have the same symbols and times, and prices a cent or two from each other. In the first
there is something wrong: a decimal slip, a row twice, two rows swapped, a price of zero and one that is
no number. The same BYTES give the same files."""
import datetime
import os
import random
import sys

SOURCES = ("exchange", "vendor", "broker")
SYMBOLS = 500
ROW = 38  # bytes, about
WRONG = {"deviation": 1, "jump": 2, "duplicate": 1, "time_backwards": 1, "price_not_positive": 1,
         "price_unparsable": 1}  # what is to be found
FIRST = datetime.datetime(2024, 1, 2, 9, 30)


def walk(rng, n):
    """Prices in cents."""
    moves = rng.choices(range(-20, 21), k=n)
    cents = rng.randrange(30_000, 90_000)
    walked = []
    for move in moves:
        cents += move if cents > 20_000 else 20
        walked.append(cents)
    return walked


def spoil(lines, symbol):
    """Something wrong in one of the first symbols."""
    name, time, price, volume = lines[40].split(",")
    if symbol == 0:
        lines[40] = f"{name},{time},{float(price) * 10:.2f},{volume}"
    elif symbol == 1:
        lines.insert(40, lines[40])
    elif symbol == 2:
        lines[40], lines[41] = lines[41], lines[40]
    elif symbol == 3:
        lines[40] = f"{name},{time},0,{volume}"
    elif symbol == 4:
        lines[40] = f"{name},{time},n/a,{volume}"


def write(folder, size):
    """Returns the number of rows."""
    minutes = max(size // (len(SOURCES) * SYMBOLS * ROW), 100)
    times = [(FIRST + datetime.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
             for n in range(minutes)]
    rng = random.Random(1)
    outs = [open(os.path.join(folder, f"{name}.csv"), "w", encoding="ascii") for name in SOURCES]
    for out in outs:
        out.write("symbol,timestamp,price,volume\n")
    for symbol in range(SYMBOLS):
        walked = walk(rng, minutes)
        for number, out in enumerate(outs):
            off = rng.choices((-1, 0, 1), k=minutes)
            volumes = rng.choices(range(100, 10_000), k=minutes)
            lines = [f"S{symbol:03},{time},{(cents + o) / 100:.2f},{volume}\n"
                     for time, cents, o, volume in zip(times, walked, off, volumes)]
            if number == 0:
                spoil(lines, symbol)
            out.write("".join(lines))
    for out in outs:
        out.close()
    return len(SOURCES) * SYMBOLS * minutes + 1


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]))
