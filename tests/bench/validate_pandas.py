#!/usr/bin/env python3
"""The checks of jobtab-validate as one would write them with pandas: validate_pandas.py FILE..."""
import json
import sys

import pandas as pd

MAX_BPS, MAX_MAD = 100, 12

frames = []
for number, path in enumerate(sys.argv[1:]):
    frame = pd.read_csv(path, usecols=["symbol", "timestamp", "price"],
                        dtype={"symbol": "category", "timestamp": str, "price": str})
    frame["source"] = number
    frames.append(frame)
rows = pd.concat(frames, ignore_index=True)
broken = {}

rows["symbol"] = rows["symbol"].astype("category")
broken["symbol_missing"] = rows["symbol"].isna().sum()
rows["time"] = pd.to_datetime(rows["timestamp"], format="%Y-%m-%dT%H:%M:%SZ", errors="coerce")
broken["time_unparsable"] = rows["time"].isna().sum()
rows["number"] = pd.to_numeric(rows["price"], errors="coerce")
broken["price_unparsable"] = rows["number"].isna().sum()
broken["price_not_positive"] = (rows["number"] <= 0).sum()
count = len(rows)

rows = rows.drop(columns=["timestamp", "price"]).dropna(subset=["symbol", "time"])
of_source = rows.groupby(["source", "symbol"], observed=True, sort=False)
broken["time_backwards"] = (of_source["time"].diff() < pd.Timedelta(0)).sum()
again = rows.duplicated(["source", "symbol", "time"])
broken["duplicate"] = again.sum()

rows = rows[~again & (rows["number"] > 0)].sort_values(["source", "symbol", "time"], kind="stable")
group = rows.groupby(["symbol", "time"], observed=True, sort=False)["number"]
median, quotes = group.transform("median"), group.transform("size")
off = (rows["number"] - median).abs() * 10000
broken["deviation"] = ((quotes > 1) & (off > MAX_BPS * median)).sum()

rows["step"] = rows.groupby(["source", "symbol"], observed=True, sort=False)["number"].pct_change()
steps = rows.dropna(subset=["step"])
by_symbol = steps.groupby("symbol", observed=True, sort=False)["step"]
distance = (steps["step"] - by_symbol.transform("median")).abs()
mad = distance.groupby(steps["symbol"], observed=True, sort=False).transform("median")
enough = by_symbol.transform("size") >= 5
broken["jump"] = (enough & (distance > MAX_MAD * mad.where(mad > 0, 0.001))).sum()

print(json.dumps({"rows": count, **{rule: int(n) for rule, n in broken.items() if n > 0}}))
