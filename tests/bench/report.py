"""What was measured, as text, JSON and a picture."""
import json
import os
import platform
import statistics
import textwrap
import time

import plot

BUSY = 0.15         # share of the processors: from here on, others spoil the figures
CLIENT_LIMIT = 0.9  # from this share of a core on, the load generator may be what is measured


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def machine(bench, file_system, rounds, seconds):
    with open("/proc/cpuinfo") as cpuinfo:
        model = [line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")]
    return {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "form": bench.form,
            "rounds": rounds, "seconds_a_sample": bench.seconds, "seconds": round(seconds),
            "cores": len(os.sched_getaffinity(0)), "processor": model[0] if model else "unknown",
            "kernel": platform.release(), "file_system": file_system}


# ---------------------------------------------------------------- figures

def summarize_side(side, samples):
    had = [sample for sample in samples if sample is not None]
    out = {"name": side.name, "settings": side.settings, "why_not": side.why_not}
    if had:
        out.update(unit=had[-1].unit, value=spread([one.value for one in had]), note=had[-1].note,
                   took=round(statistics.median(one.took for one in had), 2),
                   samples=[one.value for one in had])
        for key in ("client", "cpu"):
            values = [getattr(one, key) for one in had if getattr(one, key) is not None]
            out[key] = statistics.median(values) if values else None
    return out


def summarize_goal(goal, samples):
    """Of each round that has both sides."""
    ours, theirs = samples[goal.side], samples.get(goal.over, [])
    if goal.over is None:
        values = [one.value for one in ours if one is not None]
    else:
        values = [a.value / b.value for a, b in zip(ours, theirs)
                  if a is not None and b is not None and b.value != 0]
    out = {"side": goal.side, "over": goal.over, "at_least": goal.at_least,
           "at_most": goal.at_most, "reached": None}
    if values:
        out.update(value=spread(values), reached=goal.reached(statistics.median(values)))
    return out


def summarize(rows, samples, facts):
    had = [one.others for all_of in samples.values() for one in all_of if one is not None]
    facts = {**facts, "others": round(statistics.mean(had), 3) if had else 0}
    out = []
    for row in rows:
        own = {side.name: samples[row.key, side.name] for side in row.sides}
        out.append({"key": row.key, "work": row.work, "better": row.better,
                    "sides": [summarize_side(side, own[side.name]) for side in row.sides],
                    "goals": [summarize_goal(goal, own) for goal in row.goals]})
    return {"machine": facts, "rows": out}


# ---------------------------------------------------------------- text

def figure(value):
    """Three digits that count, whole where there are more."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def side_lines(side):
    if "value" in side:
        yield measured_line(side)
        if side["note"]:
            yield f"      {side['note']}"
        if side["why_not"]:
            yield f"      then no more: {side['why_not']}"
    else:
        yield f"  {side['name']:<22} not measured: {side['why_not']}"


def measured_line(side):
    value = side["value"]
    span = f"{figure(value['min'])}..{figure(value['max'])}"
    line = f"  {side['name']:<22}{figure(value['median']):>11} {side['unit']:<11} {span:>19}"
    line += f" {side['cpu']:>8.1f}" if side["cpu"] is not None else f" {'':>8}"
    if side["client"] is not None:
        line += f" {side['client']:>6.0%}"
        if side["client"] >= CLIENT_LIMIT:
            line += "  the load generator is the limit"
    return line.rstrip()


def verdict(goal):
    return {True: "reached", False: "MISSED", None: "not measured"}[goal["reached"]]


def goal_name(goal):
    return goal["side"] if goal["over"] is None else f"{goal['side']} / {goal['over']}"


def goal_bound(goal):
    return f"<= {goal['at_most']:g}" if goal["at_least"] is None else f">= {goal['at_least']:g}"


def goal_line(goal):
    name = goal_name(goal)
    if goal["reached"] is None:
        return f"    {name}: not measured, goal {goal_bound(goal)}"
    value = goal["value"]
    return f"    {name}: {figure(value['median'])} ({figure(value['min'])}.." \
           f"{figure(value['max'])}), goal {goal_bound(goal)}: {verdict(goal)}"


def wrapped(text, indent):
    return textwrap.wrap(text, 100, initial_indent=indent, subsequent_indent=indent + "  ",
                         break_long_words=False, break_on_hyphens=False)


def lines(result):
    facts = result["machine"]
    yield from wrapped(", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items()
                                 if key != "others"), "")
    yield f"{'':<24}{'median':>11} {'':<11} {'least..most':>19} {'cpu us':>8} {'client':>6}"
    for row in result["rows"]:
        yield ""
        yield f"{row['key']}: {row['work']} ({row['better']} is better)"
        for side in row["sides"]:
            yield from side_lines(side)
        for goal in row["goals"]:
            yield goal_line(goal)
    yield ""
    yield "Settings"
    seen = {}
    for row in result["rows"]:
        for side in row["sides"]:
            if side["settings"]:
                seen.setdefault((side["name"], side["settings"]), []).append(row["key"])
    for (name, settings), keys in seen.items():
        yield from wrapped(f"{name} ({', '.join(keys)}): {settings}", "  ")
    yield ""
    yield "cpu us: the server's processor time an operation. client: the share of one core that a"
    yield "thread of the load generator used, which shares the cores with what it measures."
    yield "Medians of the rounds, ratios taken within a round."
    yield f"Others used {facts['others']:.0%} of the processors meanwhile" + \
        (": the ratios are worth little, the rates nothing." if facts["others"] > BUSY else ".")
    goals = [goal for row in result["rows"] for goal in row["goals"]]
    counts = {name: sum(verdict(goal) == name for goal in goals)
              for name in ("reached", "MISSED", "not measured")}
    yield f"{len(goals)} goals: " + ", ".join(f"{n} {name}" for name, n in counts.items())


def write(result, out):
    """OUT.txt, OUT.json and OUT.svg; returns the text."""
    text = "\n".join(lines(result))
    with open(out + ".txt", "w") as file:
        file.write(text + "\n")
    with open(out + ".json", "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    with open(out + ".svg", "w") as file:
        file.write(plot.svg(result))
    return text
