# SPDX-License-Identifier: MIT
"""Plots as SVG, which need no library to make and none to read: bars, lines over powers of ten, shares over time.

Guarantees: each line and bar is named where it is, and says what is better; the bound is drawn; text stays text.
"""
import math
from html import escape
from typing import NamedTuple

WIDTH = 860
FONT = "font-family='sans-serif'"
INK, GREY, OWN, ASIDE = "#222222", "#888888", "#1f6fb2", "#a9cbe8"
COLOURS = (OWN, "#7fb0d8", "#b25d1f")


class Bar(NamedTuple):
    name: str
    value: float
    label: str = None
    aside: float = 0


class Line(NamedTuple):
    """total: how many there are in all, where points are those that have ended."""
    name: str
    points: list
    total: int = None


def _text(x, y, text, size=14, colour=INK, anchor="start", weight="normal"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' {FONT} font-size='{size}' fill='{colour}' text-anchor='{anchor}' "
            f"font-weight='{weight}'>{escape(text)}</text>")


def _rule(x1, y1, x2, y2, colour=GREY, dash=""):
    return (f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}' stroke-width='1'"
            + (f" stroke-dasharray='{dash}'" if dash else "") + "/>")


def _rectangle(x, y, width, height, colour):
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{colour}'/>"


def _picture(height, title, parts):
    head = (f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' "
            f"aria-label='{escape(title)}'>")
    return "\n".join([head, _rectangle(0, 0, WIDTH, height, "white"), *parts, "</svg>"]) + "\n"


def bars(title, axis, all_bars, bound):
    """A bar a row, its name in front of it, its value behind it."""
    left, right, top, row = 300, 290, 86, 40
    scale = (WIDTH - left - right) / max(bar.value + bar.aside for bar in all_bars)
    bottom = top + row * len(all_bars)
    parts = [_text(20, 30, title, 18, weight="bold"), _text(20, 52, axis, 13, GREY)]
    for number, bar in enumerate(all_bars):
        y = top + row * number
        end = left + scale * (bar.value + bar.aside)
        parts += [_text(left - 10, y + 17, bar.name, anchor="end"),
                  _rectangle(left, y, scale * bar.value, 24, OWN if number == 0 else GREY),
                  _text(end + 8, y + 17, bar.label or f"{bar.value:.2f}")]
        if bar.aside:
            parts.append(_rectangle(left + scale * bar.value, y, scale * bar.aside, 24, ASIDE))
    x = left + scale * bound[0]
    parts += [_rule(x, top - 8, x, bottom, INK, "4 3"), _text(x - 4, top - 12, bound[1], 12)]
    return _picture(bottom + 16, title, parts)


def _ticks(low, high):
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [factor * 10**exponent for exponent in exponents for factor in (1, 2, 5)
            if low <= factor * 10**exponent <= high]


def lines(title, axis, x_axis, all_lines, bound):
    """Both axes go in powers of ten; each line's name stands at its right end."""
    left, right, top, bottom, height = 80, 210, 80, 390, 440
    xs = [x for line in all_lines for x, _ in line.points]
    ys = [y for line in all_lines for _, y in line.points] + [bound[0]]
    low, high = min(*ys, 1) * 0.85, max(ys) * 1.15

    def at(x, y):
        across = math.log(x / min(xs)) / math.log(max(xs) / min(xs)) if max(xs) > min(xs) else 0
        up = math.log(y / low) / math.log(high / low)
        return left + across * (WIDTH - left - right), bottom - up * (bottom - top)
    parts = [_text(20, 30, title, 18, weight="bold"), _text(20, 52, axis, 13, GREY)]
    for y in _ticks(low, high):
        parts += [_rule(left, at(min(xs), y)[1], WIDTH - right, at(min(xs), y)[1], "#e4e4e4"),
                  _text(left - 8, at(min(xs), y)[1] + 5, f"{y:g}", 12, GREY, "end")]
    for x in sorted(set(xs)):
        parts.append(_text(at(x, 1)[0], bottom + 20, f"{x:,}", 12, GREY, "middle"))
    parts.append(_text((left + WIDTH - right) / 2, bottom + 42, x_axis, 13, GREY, "middle"))
    y = at(min(xs), bound[0])[1]
    parts += [_rule(left, y, WIDTH - right, y, INK, "4 3"), _text(left + 6, y - 5, bound[1], 12)]
    ends = _apart([at(*line.points[-1])[1] for line in all_lines])
    for colour, line, end in zip(COLOURS, all_lines, ends):
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line.points))
        parts.append(f"<polyline points='{corners}' fill='none' stroke='{colour}' stroke-width='2.5'/>")
        parts += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.5' fill='{colour}'/>" for x, y in
                  (at(*point) for point in line.points)]
        parts.append(_text(WIDTH - right + 10, end + 5, f"{line.name}: {line.points[-1][1]:.2f}", 13, colour,
                           weight="bold"))
    return _picture(height, title, parts)


def _step(most):
    """Between ticks, so that there are some ten at most."""
    return next(step for exponent in range(-3, 9) for step in (10**exponent, 2 * 10**exponent, 5 * 10**exponent)
                if most / step <= 10)


def shares(title, axis, x_axis, all_lines, marks=()):
    """How many of all have ended, over time: points are the sorted times. marks are (x, text), drawn upright."""
    left, right, top, bottom, height = 80, 190, 96, 390, 440
    most = max([x for line in all_lines for x in line.points] + [x for x, _ in marks]) * 1.02

    def at(x, share):
        return left + x / most * (WIDTH - left - right), bottom - share * (bottom - top)
    parts = [_text(20, 30, title, 18, weight="bold"), _text(20, 52, axis, 13, GREY)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = at(0, share)[1]
        parts += [_rule(left, y, WIDTH - right, y, "#e4e4e4"), _text(left - 8, y + 5, f"{share:.0%}", 12, GREY, "end")]
    step = _step(most)
    for number in range(int(most / step) + 1):
        parts.append(_text(at(number * step, 0)[0], bottom + 20, f"{number * step:g}", 12, GREY, "middle"))
    parts.append(_text((left + WIDTH - right) / 2, bottom + 42, x_axis, 13, GREY, "middle"))
    for number, (x, text) in enumerate(marks):
        across = at(x, 0)[0]
        parts += [_rule(across, top - 8, across, bottom, INK, "4 3"),
                  _text(across + (-4 if number % 2 == 0 else 4), top - 14, text, 12,
                        anchor="end" if number % 2 == 0 else "start")]
    for number, (colour, line) in enumerate(zip((OWN, COLOURS[2]), all_lines)):
        corners = [at(0, 0)]
        for count, x in enumerate(line.points, 1):
            across, up = at(x, count / line.total)
            corners += [(across, corners[-1][1]), (across, up)]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        parts.append(f"<polyline points='{corners}' fill='none' stroke='{colour}' stroke-width='2.5'/>")
        parts.append(_text(WIDTH - right + 10, top + 16 + 20 * number, line.name, 13, colour, weight="bold"))
    return _picture(height, title, parts)


def _apart(heights, least=18):
    """The same, moved so that none is nearer to another than that."""
    placed = {}
    for number in sorted(range(len(heights)), key=heights.__getitem__):
        placed[number] = max([heights[number], *(y + least for y in placed.values())])
    return [placed[number] for number in range(len(heights))]
