"""Random price files with everything that can be wrong in one. The same seed gives the same."""

import datetime

EPOCH = datetime.datetime(1970, 1, 1)
SYMBOLS = ["AAPL", "MSFT", "É", "X-1", "a b", 'Q"q', "c,d"]
BAD_SYMBOLS = ["", "y" * 64, "y" * 65, "\x01", "\udcff"]
ODD_TIMES = (
    "|x|2024-02-30|2024-13-01|24:00|2024-01-01T24:00|Jan 2 2006|jan 32 2006|20240229|20230229|1e5|"
    "1.5|-5|2024-01-01T00:00:60|9999-01-01|2024-01-01T00:00:00.1234567891|2024-01-01T00:00+0530"
).split("|")
ODD_PRICES = (
    "|x|nan|inf|-1|0|1e400|1e-400|0x10|1,5|1_0|+3|.5|5.|1e|.|1e5|-0|99999999999999999999999999|1 2"
).split("|")
NOTES = ["", "plain", "two\nlines", 'q"q', "a,b", "cr\r\nlf"]


def time_text(rng, at):
    moment = EPOCH + datetime.timedelta(seconds=at)
    return rng.choice(
        [
            moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            moment.strftime("%Y-%m-%d %H:%M:%S"),
            moment.strftime("%Y-%m-%dT%H:%M:%S.000"),
            moment.strftime("%Y-%m-%dT%H:%M:%S-00"),
            (moment + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S+01:00"),
            str(at),
            str(at * 1000) if abs(at) > 10**8 else str(at),
        ]
    )


def price_text(rng, price):
    return rng.choice(["%.2f", "%.5f", "%r", "%.3e", "%.17g"]) % price


def bar(rng, price):
    """Open, high and low around a price; sometimes the high is too low."""
    opening = price * rng.uniform(0.99, 1.01)
    high = max(opening, price) * (0.99 if rng.random() < 0.05 else 1.01)
    return [repr(opening), repr(high), repr(min(opening, price) * 0.99)]


def source_rows(rng, symbols, times, starts):
    """(time, fields) by symbol: symbol, time, price, open, high, low, close."""
    rows = []
    for symbol in symbols:
        price = starts[symbol]
        for at in times:
            if rng.random() < 0.1:
                continue
            price *= 1 + rng.gauss(0, 0.001)
            printed = price * rng.choice([10, 0.1, 1.02]) if rng.random() < 0.01 else price
            text = rng.choice(ODD_PRICES) if rng.random() < 0.02 else price_text(rng, printed)
            row = [
                rng.choice(BAD_SYMBOLS) if rng.random() < 0.01 else symbol,
                rng.choice(ODD_TIMES) if rng.random() < 0.02 else time_text(rng, at),
                text,
                *bar(rng, printed),
                "x" if rng.random() < 0.01 else text,
            ]
            rows.append((at, row))
            if rng.random() < 0.01:
                rows.append((at, row))
    return rows


def quoted(rng, field):
    if any(c in field for c in ',"\n\r') or rng.random() < 0.05:
        return '"' + field.replace('"', '""') + '"'
    return f" {field}\t" if rng.random() < 0.03 else field


def csv_bytes(rng, rows):
    names = ["Symbol", rng.choice(["timestamp", "TIME", "Date"]), rng.choice(["price", "last"])]
    if rng.random() < 0.4:
        names += ["open", "high", "low", "close"]
    columns = list(range(len(names)))
    if rng.random() < 0.15:
        columns.remove(0)
    rng.shuffle(columns)
    has_note = rng.random() < 0.3
    lines = [",".join([quoted(rng, names[c]) for c in columns] + ["note"] * has_note)]
    for _, row in rows:
        fields = [quoted(rng, row[c]) for c in columns]
        if has_note:
            fields.append(quoted(rng, rng.choice(NOTES)))
        if rng.random() < 0.01:
            fields = fields[:-1] if rng.random() < 0.5 else fields + ["", ""]
        lines.append(",".join(fields))
        if rng.random() < 0.02:
            lines.append(rng.choice(["", "  ", "\t"]))
    end = rng.choice(["\n", "\r\n"])
    text = end.join(lines) + (end if rng.random() < 0.9 else "")
    mark = b"\xef\xbb\xbf" if rng.random() < 0.2 else b""
    return mark + text.encode("utf-8", "surrogateescape")


def make(rng, orders=("symbol", "time", "none")):
    """([(name, bytes)], params); each file in one of the orders."""
    symbols = SYMBOLS[: rng.randint(1, len(SYMBOLS))]
    starts = {symbol: rng.uniform(1, 500) for symbol in symbols}
    first = rng.choice([-(10**8), 0, 1_600_000_000, 1_700_000_000])
    times = [first + 60 * i for i in range(rng.randint(1, 60))]
    files = []
    for name in "abcd"[: rng.randint(1, 4)]:
        rows = source_rows(rng, symbols, times, starts)
        order = rng.choice(orders)
        if order == "time":
            rows.sort(key=lambda row: row[0])
        if order == "none":
            rng.shuffle(rows)
        files.append((f"{name}.csv", csv_bytes(rng, rows)))
    params = {}
    for name, values in (
        ("max_deviation_bps", [1, 10, 500, None]),
        ("max_jump_mad", [3, 5, 30, None]),
        ("min_sources", [1, 2, 3, 4]),
    ):
        if rng.random() < 0.5:
            params[name] = rng.choice(values)
    return files, params
