"""The picture: the goals of each row, a bar each, from the line of the goal to what was reached.

The axis is logarithmic and the same for all: how many times better than the goal (to the right) or
worse (to the left). A page's light or dark mode decides the colours.
"""
import math
from html import escape

WIDTH, LEFT, RIGHT, TOP = 960, 440, 130, 78
HEADING, STEP, BAR, GAP = 23, 20, 12, 10
TICKS = (0.1, 0.25, 0.5, 1, 2, 4, 10, 25)
STYLE = """
.page { fill: #ffffff } .heading { stroke: #ffffff }
.ink { fill: #1f2328 } .soft { fill: #59636e }
.grid { stroke: #d1d9e0 } .goal { stroke: #1f2328 } .span { stroke: #59636e }
.met { fill: #2f81c7 } .missed { fill: #d1792a }
text { font: 13px system-ui, sans-serif } .heading { paint-order: stroke; stroke-width: 4px }
.title { font-size: 17px; font-weight: 600 }
.small { font-size: 12px }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117 } .heading { stroke: #0d1117 }
  .ink { fill: #f0f6fc } .soft { fill: #9198a1 }
  .grid { stroke: #2f353d } .goal { stroke: #f0f6fc } .span { stroke: #9198a1 }
  .met { fill: #4a9be0 } .missed { fill: #e08c42 }
}"""


def score(goal, value):
    """How many times better than its goal; 1 is just reached."""
    bound = goal["at_most"] if goal["at_least"] is None else goal["at_least"]
    better, worse = (bound, value) if goal["at_least"] is None else (value, bound)
    if worse == 0:
        return TICKS[-1] if better > 0 else 1
    return better / worse


def position(value):
    low, high = math.log(TICKS[0]), math.log(TICKS[-1])
    at = min(max(math.log(max(value, 1e-9)), low), high)
    return LEFT + (at - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")


def text(x, y, words, classes, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}" text-anchor="{anchor}">' \
           f'{escape(words)}</text>'


def bar(goal, y):
    name = goal["side"] if goal["over"] is None else f"{goal['side']} / {goal['over']}"
    sign = "≤" if goal["at_least"] is None else "≥"
    bound = goal["at_most"] if goal["at_least"] is None else goal["at_least"]
    middle = y + BAR / 2
    yield text(LEFT - 14, middle + 4.5, name, "soft", "end")
    if goal["reached"] is None:
        yield text(WIDTH - 16, middle + 4.5, f"not measured ({sign} {number(bound)})", "soft small",
                   "end")
        return
    value = goal["value"]
    at, line = position(score(goal, value["median"])), position(1)
    kind = "met" if goal["reached"] else "missed"
    yield f'<rect x="{min(at, line):.1f}" y="{y:.1f}" width="{max(abs(at - line), 1.5):.1f}" ' \
          f'height="{BAR}" rx="2" class="{kind}"/>'
    ends = sorted(position(score(goal, value[key])) for key in ("min", "max"))
    yield f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{middle:.1f}" y2="{middle:.1f}" ' \
          f'class="span"/>'
    yield text(WIDTH - 16, middle + 4.5, f"{number(value['median'])} ({sign} {number(bound)})",
               "ink small", "end")


def groups(rows):
    """Each row's work above its bars: the parts of the picture, and where they end."""
    parts, y = [], TOP
    for row in rows:
        if not row["goals"]:
            continue
        parts.append(text(16, y + 13, row["work"], "ink heading"))
        y += HEADING
        for goal in row["goals"]:
            parts += bar(goal, y)
            y += STEP
        y += GAP
    return parts, y


def svg(result):
    parts, bottom = groups(result["rows"])
    height = bottom + 48
    facts = result["machine"]
    rounds = f"median of {facts['rounds']} rounds, the thin line is their range" \
        if facts["rounds"] > 1 else "one round"
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           f'width="{WIDTH}" height="{height}" role="img" aria-label="Jobtab against its goals">',
           f"<style>{STYLE}</style>",
           f'<rect class="page" width="{WIDTH}" height="{height}"/>',
           text(16, 28, "Jobtab against its goals", "ink title"),
           text(16, 48, f"{rounds}; {facts['cores']} cores, {facts['file_system']}, "
                f"{facts['date'][:10]}", "soft small")]
    for tick in TICKS:
        x = position(tick)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom}" '
                   f'class="{"goal" if tick == 1 else "grid"}"/>')
        label = "goal" if tick == 1 else f"×{tick:g}" if tick > 1 else f"÷{1 / tick:g}"
        out.append(text(x, bottom + 18, label, "soft small", "middle"))
    out += parts
    out.append(text(position(1) - 8, bottom + 38, "← short of the goal", "soft small", "end"))
    out.append(text(position(1) + 8, bottom + 38, "better than the goal →", "soft small"))
    out.append("</svg>\n")
    return "\n".join(out)
