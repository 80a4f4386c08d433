"""Charts as SVG, drawn on the server: readable without a script, in light and dark, and by a screen reader.

Each chart has a title that says what it shows, and stands beside a table or text with its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_POINTS = 400
_TONES = frozenset({"good", "bad", "warn", "info", "off", "main"})


class Point(NamedTuple):
    """A measured value, with its interval where it has one, and the page behind it."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    href: str | None = None
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a whole; ``tone`` is one of good, bad, warn, info, off, main."""

    label: str
    count: int
    tone: str


class Span(NamedTuple):
    """Something that took a while: seconds from the beginning."""

    label: str
    start: float
    end: float
    tone: str = "main"


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to pixels, with room at the ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value is drawn."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + max(-0.02, min(1.02, share)) * (self.end - self.start), 1)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round numbers within the scale."""
        step = _round_step((self.high - self.low) / max(1, wanted - 1))
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def interval(
    value: float | None, low: float | None, high: float | None, *, least: float = 0.0, most: float = 1.0
) -> Markup:
    """A value with its interval on a scale that its neighbours share."""
    if value is None:
        return _markup("")
    x = Scale(least, most if most > least else least + 1, 4, 156)
    parts = ['<line class="axis" x1="4" x2="156" y1="8" y2="8"/>']
    if low is not None and high is not None:
        parts.append(f'<line class="whisker" x1="{x(low)}" x2="{x(high)}" y1="8" y2="8"/>')
        parts += [f'<line class="whisker" x1="{x(end)}" x2="{x(end)}" y1="4" y2="12"/>' for end in (low, high)]
    parts.append(f'<circle class="dot" cx="{x(value)}" cy="8" r="3.5"/>')
    return _svg(160, 16, "".join(parts), title=None)


def difference(value: float | None, low: float | None, high: float | None, *, reach: float) -> Markup:
    """A difference with its interval around zero."""
    if value is None:
        return _markup("")
    reach = reach or 1.0
    x = Scale(-reach, reach, 4, 236)
    parts = [
        '<line class="axis" x1="4" x2="236" y1="10" y2="10"/>',
        '<line class="zero" x1="120" x2="120" y1="0" y2="20"/>',
    ]
    if low is not None and high is not None:
        parts.append(f'<line class="whisker" x1="{x(low)}" x2="{x(high)}" y1="10" y2="10"/>')
        parts += [f'<line class="whisker" x1="{x(end)}" x2="{x(end)}" y1="5" y2="15"/>' for end in (low, high)]
    parts.append(f'<circle class="dot" cx="{x(value)}" cy="10" r="4"/>')
    return _svg(240, 20, "".join(parts), title=None)


def histogram(edges: Sequence[float], counts: Sequence[int], *, title: str) -> Markup:
    """How often values fall between edges; one edge more than counts."""
    if not counts or not sum(counts):
        return _markup("")
    width, height, base = 520, 150, 126
    most = max(counts)
    x = Scale(edges[0], edges[-1] if edges[-1] > edges[0] else edges[0] + 1, 10, width - 10)
    bars = "".join(
        f'<rect class="bar" x="{x(edges[n]) + 0.5:.1f}" width="{max(1.0, x(edges[n + 1]) - x(edges[n]) - 1):.1f}"'
        f' y="{base - 108 * count / most:.1f}" height="{108 * count / most:.1f}"><title>{_number(edges[n])} to '
        f"{_number(edges[n + 1])}: {count:,}</title></rect>"
        for n, count in enumerate(counts)
    )
    ticks = "".join(
        f'<text x="{x(tick)}" y="{base + 16}" text-anchor="middle">{_number(tick)}</text>' for tick in x.ticks()
    )
    axis = f'<line class="axis" x1="10" x2="{width - 10}" y1="{base}" y2="{base}"/>'
    return _svg(width, height, bars + axis + ticks, title=title)


def series(points: Sequence[Point], *, title: str, height: int = 190, step: bool = False) -> Markup:
    """Values one after another, with their intervals; ``step`` draws the best so far."""
    shown = [point for point in points if point.value is not None][-MAX_POINTS:]
    if not shown:
        return _markup("")
    width, base = 760, height - 26
    ends = [end for p in shown for end in (p.value, p.low, p.high) if end is not None]
    y = _padded(min(ends), max(ends), base, 12)
    x = Scale(0, max(1, len(shown) - 1), 46, width - 16)
    parts = _grid(y, 40, width - 10)
    places = [(x(n), y(point.value or 0.0)) for n, point in enumerate(shown)]
    for (px, _), point in zip(places, shown, strict=True):
        if point.low is not None and point.high is not None:
            parts.append(f'<line class="whisker" x1="{px}" x2="{px}" y1="{y(point.low)}" y2="{y(point.high)}"/>')
    parts.append(f'<path class="line" d="{_path(places, step=step)}"/>')
    parts += [_dot(place, point) for place, point in zip(places, shown, strict=True)]
    for n in sorted({0, len(shown) // 2, len(shown) - 1}):
        anchor = "start" if n == 0 and len(shown) > 1 else "end" if n == len(shown) - 1 and n else "middle"
        parts.append(f'<text x="{places[n][0]}" y="{height - 6}" text-anchor="{anchor}">{_text(shown[n].label)}</text>')
    has_links = any(point.href is not None for point in shown)
    return _svg(width, height, "".join(parts), title=title, role="group" if has_links else "img")


def shares(parts: Sequence[Part], *, title: str) -> Markup:
    """Parts of a whole in one bar, with a legend."""
    total = sum(part.count for part in parts)
    if not total:
        return _markup("")
    drawn: list[str] = []
    legend: list[str] = []
    left = 0.0
    for part in parts:
        width = 720 * part.count / total
        drawn.append(
            f'<rect class="part-{_tone(part.tone)}" x="{left:.1f}" y="0" width="{max(0.0, width - 1):.1f}" height="12">'
            f"<title>{_text(part.label)}: {part.count:,}</title></rect>"
        )
        left += width
        legend.append(
            f'<li><svg viewBox="0 0 9 9" aria-hidden="true"><rect class="part-{_tone(part.tone)}" width="9" height="9" '
            f'rx="2"/></svg>{_text(part.label)} <span class="muted">{part.count:,}</span></li>'
        )
    chart = _svg(720, 12, "".join(drawn), title=title)
    return _markup(f'{chart}<ul class="legend">{"".join(legend)}</ul>')


def timeline(spans: Sequence[Span], *, title: str) -> Markup:
    """What happened when, one line for each thing, from the first to the last."""
    if not spans:
        return _markup("")
    spans = spans[:MAX_POINTS]
    end = max(max(span.end for span in spans), 0.001)
    width, row, top = 760, 22, 20
    x = Scale(0, end, 200, width - 70)
    height = top + row * len(spans) + 4
    parts = [
        f'<line class="gridline" x1="{x(tick)}" x2="{x(tick)}" y1="{top - 4}" y2="{height - 4}"/>'
        f'<text x="{x(tick)}" y="11" text-anchor="middle">{_seconds(tick)}</text>'
        for tick in x.ticks(6)
    ]
    for n, span in enumerate(spans):
        y = top + row * n
        length = max(2.0, x(span.end) - x(span.start))
        parts.append(f'<text class="strong" x="0" y="{y + 13}">{_text(span.label, 32)}</text>')
        parts.append(
            f'<rect class="part-{_tone(span.tone)}" x="{x(span.start)}" y="{y + 3}" width="{length:.1f}" height="12" '
            f'rx="2"/><text x="{x(span.start) + length + 5:.1f}" y="{y + 13}">{_seconds(span.end - span.start)}</text>'
        )
    return _svg(width, height, "".join(parts), title=title)


def moments(
    past: Sequence[tuple[datetime, str, str]], coming: Sequence[datetime], now: datetime, *, title: str
) -> Markup:
    """Instants before and after now on one line; each past one with its label and tone."""
    instants = [moment for moment, _, _ in past] + list(coming) + [now]
    if len(instants) == 1:
        return _markup("")
    first, last = min(instants), max(instants)
    x = Scale(first.timestamp(), max(last.timestamp(), first.timestamp() + 1), 12, 748)
    at = x(now.timestamp())
    parts = [
        '<line class="axis" x1="4" x2="756" y1="24" y2="24"/>',
        f'<line class="zero" x1="{at}" x2="{at}" y1="10" y2="38"/><text x="{at}" y="8" text-anchor="middle">now</text>',
    ]
    for moment, label, tone in past:
        parts.append(
            f'<circle class="part-{_tone(tone)}" cx="{x(moment.timestamp())}" cy="24" r="4.5">'
            f"<title>{_text(label)}</title></circle>"
        )
    parts += [f'<circle class="dot off" cx="{x(moment.timestamp())}" cy="24" r="4"/>' for moment in coming]
    return _svg(760, 44, "".join(parts), title=title)


def _dot(place: tuple[float, float], point: Point) -> str:
    label = _text(f"{point.label}: {_number(point.value or 0.0)}", 200)
    at = f'cx="{place[0]}" cy="{place[1]}" r="3.6"'
    dot = f'<circle class="dot {_text(point.tone)}" {at}><title>{label}</title></circle>'
    return dot if point.href is None else f'<a href="{_text(point.href, 500)}" aria-label="{label}">{dot}</a>'


def _path(places: Sequence[tuple[float, float]], *, step: bool) -> str:
    drawn = [f"M{places[0][0]} {places[0][1]}"]
    for px, py in places[1:]:
        drawn.append(f"H{px}V{py}" if step else f"L{px} {py}")
    return "".join(drawn)


def _grid(y: Scale, left: float, right: float) -> list[str]:
    return [
        f'<line class="gridline" x1="{left}" x2="{right}" y1="{y(tick)}" y2="{y(tick)}"/>'
        f'<text x="{left - 6}" y="{y(tick) + 4}" text-anchor="end">{_number(tick)}</text>'
        for tick in y.ticks(4)
    ]


def _padded(low: float, high: float, start: float, end: float) -> Scale:
    room = (high - low) * 0.08 or abs(high) * 0.1 or 0.5
    return Scale(low - room, high + room, start, end)


def _round_step(rough: float) -> float:
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


def _number(value: float) -> str:
    text = f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) < 1000 else f"{value:,.0f}"
    return "0" if text == "-0" else text


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _tone(tone: str) -> str:
    return tone if tone in _TONES else "main"


def _text(text: str, most: int = 60) -> str:
    from markupsafe import escape

    return str(escape(text if len(text) <= most else text[: most - 1] + "…"))


def _svg(width: float, height: float, inner: str, *, title: str | None, role: str = "img") -> Markup:
    said = 'aria-hidden="true"' if title is None else f'role="{role}" aria-label="{_text(title, 300)}"'
    return _markup(
        f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" {said}>{inner}</svg>'
    )


def _markup(text: str) -> Markup:
    from markupsafe import Markup

    return Markup(text)  # every text of a user within went through ``_text``


def spread_of(values: Sequence[Any]) -> tuple[float, float]:
    """A scale that holds all values and starts at 0 where none is below; at least from 0 to 1 for shares."""
    numbers = [float(value) for value in values if value is not None]
    low, high = min([0.0, *numbers]), max([0.0, *numbers])
    return (low, 1.0 if 0.1 < high <= 1 else high or 1.0)
