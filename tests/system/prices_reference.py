"""The rules of jobtab-validate(1), written a second time from its manual page: the plainest way,
all in memory, nothing shared with the program. validate() gives what the program prints, without
the texts of the examples."""

import collections
import csv
import datetime
import io
import re
import statistics

NS = 10**9
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
    r"([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
EPOCH = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,9}))?")
NAMED = re.compile(r"([A-Za-z]{3}) ([0-9]{1,2}) ([0-9]{4})")
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
RULES = (
    "symbol_missing time_unparsable price_unparsable price_not_positive duplicate time_backwards "
    "ohlc stale deviation jump min_sources"
).split()
NAMES = {
    "symbol": ["symbol"],
    "time": ["timestamp", "time", "date"],
    "price": ["price", "close", "last"],
    "open": ["open"],
    "high": ["high"],
    "low": ["low"],
    "close": ["close"],
}


def number(text):
    if len(text) > 128 or not NUMBER.fullmatch(text):
        return None
    return float(text)


def _midnight(year, month, day):
    return int(
        (datetime.datetime(year, month, day) - datetime.datetime(1970, 1, 1)).total_seconds()
    )


def _time(text):
    if m := ISO.fullmatch(text):
        year, month, day = (int(m[i]) for i in (1, 2, 3))
        hour, minute, second = (int(m[i] or 0) for i in (4, 5, 6))
        if hour > 23 or minute > 59 or second > 59:
            return None
        at = _midnight(year, month, day) + hour * 3600 + minute * 60 + second
        offset = m[8]
        if offset and offset not in "Zz":
            digits = offset[1:].replace(":", "").ljust(4, "0")
            hours, minutes = int(digits[:2]), int(digits[2:])
            if hours > 23 or minutes > 59:
                return None
            at -= (-1 if offset[0] == "-" else 1) * (hours * 3600 + minutes * 60)
        return at * NS + int((m[7] or "").ljust(9, "0"))
    if m := COMPACT.fullmatch(text):
        return _midnight(*map(int, m.groups())) * NS
    if m := NAMED.fullmatch(text):
        if m[1].lower() not in MONTHS:
            return None
        return _midnight(int(m[3]), MONTHS.index(m[1].lower()) + 1, int(m[2])) * NS
    if m := EPOCH.fullmatch(text):
        sign, count = (-1 if m[1] else 1), int(m[2])
        if count >= 10**11:
            return None if m[3] else sign * count * 10**6
        return sign * (count * NS + int((m[3] or "").ljust(9, "0")))
    return None


def time(text):
    try:
        ns = _time(text)
    except ValueError:  # no such day
        return None
    return ns if ns is not None and -(2**63) <= ns < 2**63 else None


def records(data):
    """(line, fields) of every row that is not blank."""
    text = data.decode("utf-8-sig", errors="surrogateescape")
    reader = csv.reader(io.StringIO(text, newline=""))
    before = 0
    for fields in reader:
        line, before = before + 1, reader.line_num
        if fields and (fields == [""] or len(fields) > 1 or fields[0].strip(" \t")):
            yield line, [field.strip(" \t") for field in fields]


def columns(header):
    lower = [name.lower() for name in header]
    found = {}
    for kind, names in NAMES.items():
        for name in names:
            if name in lower:
                found[kind] = lower.index(name)
                break
    return found


def validate(
    files, max_age=None, max_deviation_bps=100, max_jump_mad=12, min_sources=1, now=None
):
    """`files`: a list of (name, bytes) in the order of the sources. max_age and now: ns."""
    found = []  # (source, line, rule, symbol)
    rows = 0
    symbols = set()
    quotes = collections.defaultdict(dict)  # symbol -> (time, source) -> (line, price)

    for source, (file, data) in enumerate(files):
        lines = records(data)
        where = columns(next(lines)[1])
        last, newest, firsts = {}, {}, {}
        rows_here = []
        for line, fields in lines:
            rows += 1

            def field(kind):
                at = where.get(kind)
                return fields[at] if at is not None and at < len(fields) else ""

            def hit(rule):
                found.append((source, line, rule, symbol))

            symbol = field("symbol") if "symbol" in where else file.rsplit("/")[-1][:-4]
            if not 0 < len(symbol.encode(errors="surrogateescape")) <= 64 or any(
                c < " " or "\udc00" <= c <= "\udfff" for c in symbol
            ):
                symbol = None
                hit("symbol_missing")
            else:
                symbols.add(symbol)
            at, price = time(field("time")), number(field("price"))
            if at is None:
                hit("time_unparsable")
            if price is None:
                hit("price_unparsable")
            elif not 0 < price < float("inf"):
                hit("price_not_positive")
                price = None
            o, h, l, c = (number(field(kind)) for kind in ("open", "high", "low", "close"))
            if None not in (o, h, l, c) and not (l <= o <= h and l <= c <= h):
                hit("ohlc")
            if symbol is None or at is None:
                continue
            if symbol in last and at < last[symbol]:
                hit("time_backwards")
            last[symbol] = at
            if symbol not in newest or at > newest[symbol][0]:
                newest[symbol] = (at, line)
            if (at, source) in quotes[symbol]:
                hit("duplicate")
            else:
                quotes[symbol][at, source] = (line, price)
        for symbol, (at, line) in newest.items():
            if max_age is not None and now - at > max_age:
                hit("stale")

    for symbol, known in quotes.items():
        groups = collections.defaultdict(list)
        for (at, source), (line, price) in sorted(known.items()):
            groups[at].append((source, line, price))
        for group in groups.values():
            prices = [price for _, _, price in group if price is not None]
            if min_sources > 1 and len(prices) < min_sources:
                found.append((group[0][0], group[0][1], "min_sources", symbol))
            elif len(prices) > 1 and max_deviation_bps is not None:
                median = statistics.median(prices)
                for source, line, price in group:
                    if price is None:
                        continue
                    if abs(price - median) * 10000 > max_deviation_bps * median:
                        found.append((source, line, "deviation", symbol))
        steps, last = [], {}
        for (at, source), (line, price) in sorted(known.items()):
            if price is None:
                continue
            if source in last:
                change = (price - last[source]) / last[source]
                steps.append((min(change, 1e300), source, line))
            last[source] = price
        if len(steps) >= 5 and max_jump_mad is not None:
            middle = statistics.median(change for change, _, _ in steps)
            mad = statistics.median(abs(change - middle) for change, _, _ in steps) or 0.001
            for change, source, line in steps:
                if abs(change - middle) > max_jump_mad * mad:
                    found.append((source, line, "jump", symbol))

    by_symbol = collections.Counter(symbol for _, _, _, symbol in found if symbol is not None)
    worst = sorted(by_symbol.items(), key=lambda item: (-item[1], item[0].encode()))[:1000]
    by_rule = collections.Counter(rule for _, _, rule, _ in found)
    found.sort(key=lambda hit: (hit[0], hit[1], RULES.index(hit[2])))
    return {
        "verdict": "failed" if found else "passed",
        "rows": rows,
        "symbols": len(symbols),
        "sources": len(files),
        "violations": len(found),
        "by_rule": dict(by_rule),
        "by_symbol": dict(worst),
        "examples": [
            {"file": files[source][0], "line": line, "rule": rule}
            for source, line, rule, _ in found[:100]
        ],
    }
