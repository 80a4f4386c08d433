"""Templates, and the few words and forms that all of them share.

The template engine is imported with the first page, not with the server: what nobody looks at costs no start-up.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt
    from markupsafe import Markup

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ASSETS = {"app.css": "text/css", "app.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""What is served besides pages."""
NOTHING = "–"
_SECONDS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def render(template: str, **values: Any) -> str:
    """A template with values; every value is escaped."""
    return _environment().get_template(template).render(**values)


@cache
def read_asset(name: str) -> bytes:
    """The bytes of a file of ``static``; its name must be one of ``ASSETS``."""
    return files("assay.ui").joinpath("static", name).read_bytes()


@cache
def asset_address(name: str) -> str:
    """Where an asset is, with a mark that changes with its content."""
    return f"/assets/{name}?v={sha256(read_asset(name)).hexdigest()[:12]}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from assay.ui import charts, icons

    environment = Environment(
        loader=PackageLoader("assay.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number,
        count=count,
        percent=percent,
        money=money,
        seconds=seconds,
        short=short,
        tail=tail,
        markdown=markdown,
        pretty=pretty,
        utc=utc,
        iso=iso,
        word=word,
        signed=signed,
        size=size,
    )
    shared = cast("dict[str, Any]", environment.globals)
    shared.update(
        asset=asset_address, chart=charts, icon=icons.icon, with_query=with_query, now=lambda: datetime.now(UTC)
    )
    return environment


def same_text(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def number(value: Any, digits: int = 3) -> str:
    """A measured number: three digits after the point, fewer where they are zeros of a whole number."""
    if value is None or isinstance(value, bool):
        return NOTHING if value is None else str(value).lower()
    if not isinstance(value, int | float | Decimal):
        return str(value)
    as_float = float(value)
    if as_float == int(as_float) and abs(as_float) < 1e15 and isinstance(value, int):
        return f"{int(as_float):,}"
    return f"{as_float:.{digits}f}" if abs(as_float) >= 10**-digits or as_float == 0 else f"{as_float:.1e}"


def signed(value: Any, digits: int = 3) -> str:
    """A difference, with its sign."""
    return NOTHING if value is None else f"{float(value):+.{digits}f}".replace("-", "−")


def count(value: int | None) -> str:
    """How many."""
    return NOTHING if value is None else f"{value:,}"


def percent(part: float | None, whole: float | None = 1) -> str:
    """A share of a whole."""
    if part is None or not whole:
        return NOTHING
    return f"{100 * part / whole:.1f} %"


def money(value: Decimal | float | None) -> str:
    """US dollars; small sums with more digits."""
    if value is None:
        return NOTHING
    amount = float(value)
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"


def size(value: int | None) -> str:
    """Bytes."""
    if value is None:
        return NOTHING
    if value < 1024:
        return f"{value} B"
    return f"{value / 1024:.0f} KB" if value < 1024 * 1024 else f"{value / 1024 / 1024:.1f} MB"


def seconds(value: float | None) -> str:
    """How long: 480 ms, 3.2 s, 4 min 10 s, 2 h 5 min."""
    if value is None:
        return NOTHING
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    rest = round(value)
    parts: list[str] = []
    for length, unit in _SECONDS:
        if rest >= length:
            parts.append(f"{rest // length} {unit}")
            rest %= length
    if rest and len(parts) < 2:
        parts.append(f"{rest} s")
    return " ".join(parts[:2])


def short(value: Any, length: int = 120) -> str:
    """One line of a text, cut where it is long."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def tail(value: str | None, length: int = 120) -> str:
    """The end of a text on one line: prompts begin alike, and end with what is asked."""
    line = " ".join((value or "")[-4 * length :].split())
    return line if len(line) <= length else "…" + line[1 - length :]


def markdown(text: str) -> Markup:
    """Markdown as HTML, its headings one level lower; HTML within it is text, and links lead to web pages only."""
    from markupsafe import Markup

    engine = _markdown()
    tokens = engine.parse(text)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1:]) + 1)}"
    return Markup(engine.renderer.render(tokens, engine.options, {}))


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def pretty(value: Any) -> str:
    """A value as people read it: text as it is, all else as indented JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(_plain(value), ensure_ascii=False, indent=2, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value


def utc(value: datetime | None) -> str:
    """A moment, for who reads without the script; it puts the reader's own zone in its place."""
    return NOTHING if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(value: datetime) -> str:
    """A moment for machines."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def word(value: Any) -> str:
    """A name of the program as people write it: ``over_budget`` is "over budget"."""
    return str(getattr(value, "value", value)).replace("_", " ")


def with_query(path: str, values: Mapping[str, Any], **changes: Any) -> str:
    """An address with parameters; those that are None or empty are left out."""
    merged = {**values, **changes}
    kept = {name: value for name, value in merged.items() if value is not None and value != ""}
    return f"{path}?{urlencode(kept)}" if kept else path
