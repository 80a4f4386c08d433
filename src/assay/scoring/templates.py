"""Prompt and target templates: ``{{ path.to.field }}`` and nothing else.

A template is read once per task into literal text and placeholders, and rendered once per row. It holds no code: no
filters, calls, conditions or loops, so a template from anybody is safe to render. Rules:

- A path is one or more segments joined by dots. The first names a column of the row; each later one is a key of a
  nested object or, in digits, a position in a list (``{{ answers.text.0 }}``). Segments are letters, digits, ``_`` and
  ``-``, with single spaces inside (``{{ Question Text }}``).
- Strings render as they are, every other value as compact JSON (``true``, ``null``, ``["a","b"]``).
- ``choices`` is the task's list of choices when it has one, else the row's column of that name.
- ``}}`` alone is plain text. To write ``{{`` itself, use ``{{ '{{' }}``.
- A Jinja block (``{% if … %}``) is refused: sent as it stands, it would reach the model as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from assay.kit import json
from assay.scoring.errors import MissingColumnError, PromptTooLongError, TemplateError, UnrenderableValueError

MAX_TEMPLATE_CHARS: Final = 100_000
MAX_RENDERED_CHARS: Final = 4_000_000

_MAX_NAMES_IN_MESSAGE: Final = 20
_MAX_POSITION_DIGITS: Final = 9
_OPEN: Final = "{{"
_CLOSE: Final = "}}"
_LITERAL_OPEN: Final = frozenset({"'{{'", '"{{"'})
_SEGMENT: Final = r"[\w\-]+(?: [\w\-]+)*"
_PATH: Final = re.compile(rf"{_SEGMENT}(?:\.{_SEGMENT})*")
_BLOCK: Final = re.compile(r"\{%[^\n%{}]*%\}")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One ``{{ path }}`` of a template."""

    path: tuple[str, ...]
    """Segments; the first is the column."""
    position: int
    """Offset of the opening braces in the template's text, from 0."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template; make it with :meth:`parse`."""

    text: str
    """The text it was parsed from."""
    columns: tuple[str, ...]
    """The columns it names, each once, in order of first use. May contain ``choices``."""
    parts: tuple[str | Placeholder, ...]
    """Literal text and placeholders, in order."""

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template.

        Args:
            text: At most ``MAX_TEMPLATE_CHARS`` characters.

        Raises:
            TemplateError: A placeholder is not closed or is not a path, a Jinja block is used, or the text is too long.
        """
        if len(text) > MAX_TEMPLATE_CHARS:
            raise _fault(f"The template has {len(text)} characters; at most {MAX_TEMPLATE_CHARS} are allowed.", 0)
        parts = tuple(_parse_parts(text))
        columns = dict.fromkeys(part.path[0] for part in parts if isinstance(part, Placeholder))
        return cls(text=text, columns=tuple(columns), parts=parts)

    def render(self, row: Mapping[str, Any], *, choices: Sequence[str] | None = None) -> str:
        """Fill the placeholders from one row.

        Args:
            row: Column names to JSON values.
            choices: The task's choices; None when the task states none.

        Raises:
            MissingColumnError: A path leads nowhere in this row.
            UnrenderableValueError: A value is not JSON.
            PromptTooLongError: The result would pass ``MAX_RENDERED_CHARS``.
        """
        pieces: list[str] = []
        total = 0
        for part in self.parts:
            piece = part if isinstance(part, str) else _as_text(_resolve(part, row, choices), part)
            total += len(piece)
            if total > MAX_RENDERED_CHARS:
                raise PromptTooLongError(
                    f"The rendered template passes {MAX_RENDERED_CHARS} characters; shorten the row or the template."
                )
            pieces.append(piece)
        return "".join(pieces)

    def render_optional(self, row: Mapping[str, Any], *, choices: Sequence[str] | None = None) -> str | None:
        """Like :meth:`render`, but None for a template that is one placeholder whose value is null.

        A target column that is null means "no target"; rendered as text it would become the answer ``null``.

        Raises:
            MissingColumnError: As in :meth:`render`.
            UnrenderableValueError: As in :meth:`render`.
            PromptTooLongError: As in :meth:`render`.
        """
        only = self.parts[0] if len(self.parts) == 1 else ""
        if isinstance(only, Placeholder) and _resolve(only, row, choices) is None:
            return None
        return self.render(row, choices=choices)


def _parse_parts(text: str) -> list[str | Placeholder]:
    parts: list[str | Placeholder] = []
    start = 0
    while (opened := text.find(_OPEN, start)) >= 0:
        closed = text.find(_CLOSE, opened + 2)
        if closed < 0:
            raise _fault("The placeholder is not closed: '}}' is missing.", opened)
        _append_literal(parts, text, start=start, end=opened)
        inner = text[opened + 2 : closed].strip()
        parts.append(_OPEN if inner in _LITERAL_OPEN else Placeholder(_parse_path(inner, opened), opened))
        start = closed + 2
    _append_literal(parts, text, start=start, end=len(text))
    return parts


def _append_literal(parts: list[str | Placeholder], text: str, *, start: int, end: int) -> None:
    if block := _BLOCK.search(text, start, end):
        raise _fault("Blocks such as '{% if %}' are not supported; only '{{ column }}' is.", block.start())
    if end > start:
        parts.append(text[start:end])


def _parse_path(inner: str, position: int) -> tuple[str, ...]:
    if not inner:
        raise _fault("The placeholder is empty; write a column's name between the braces.", position)
    if not _PATH.fullmatch(inner):
        shown = inner if len(inner) <= 60 else inner[:60] + "…"
        raise _fault(
            f"'{shown}' is not a path of column and field names; filters, calls and other code are not supported. "
            "To write '{{' as text, use {{ '{{' }}.",
            position,
        )
    return tuple(inner.split("."))


def _fault(message: str, position: int) -> TemplateError:
    return TemplateError(f"At character {position + 1}: {message}", data={"position": position})


def _resolve(placeholder: Placeholder, row: Mapping[str, Any], choices: Sequence[str] | None) -> Any:
    path = placeholder.path
    column = path[0]
    value: Any
    if column == "choices" and choices is not None:
        value = list(choices)
    elif column in row:
        value = row[column]
    else:
        raise _missing(f"The row has no column '{column}'", row.keys(), column=column)
    for depth in range(1, len(path)):
        value = _step_into(value, path, depth)
    return value


def _step_into(value: Any, path: tuple[str, ...], depth: int) -> Any:
    segment = path[depth]
    parent = ".".join(path[:depth])
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        if segment in fields:
            return fields[segment]
        raise _missing(f"'{parent}' has no field '{segment}'", fields.keys(), column=path[0])
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = cast("Sequence[Any]", value)
        is_position = segment.isascii() and segment.isdigit() and len(segment) <= _MAX_POSITION_DIGITS
        if is_position and int(segment) < len(items):
            return items[int(segment)]
        message = f"'{parent}' is a list of {len(items)}; it has no position '{segment}'."
    else:
        message = f"'{parent}' is {_kind_of(value)}, so it has no field '{segment}'."
    raise MissingColumnError(message, data={"column": path[0]})


def _missing(message: str, names: Any, *, column: str) -> MissingColumnError:
    available = [str(name) for name in names]
    shown = ", ".join(available[:_MAX_NAMES_IN_MESSAGE]) or "nothing"
    if len(available) > _MAX_NAMES_IN_MESSAGE:
        shown += f" and {len(available) - _MAX_NAMES_IN_MESSAGE} more"
    return MissingColumnError(
        f"{message}; it has: {shown}.",
        data={"column": column, "available": available[:_MAX_NAMES_IN_MESSAGE]},
    )


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"


def _as_text(value: Any, placeholder: Placeholder) -> str:
    if isinstance(value, str):
        return value
    try:
        # Whole numbers past 64 bits are valid JSON, but the encoder refuses them.
        return str(value) if type(value) is int else json.dumps(value)
    except (TypeError, ValueError) as exc:
        name = ".".join(placeholder.path)
        raise UnrenderableValueError(
            f"The value of '{name}' cannot be written as JSON: {exc}.", data={"column": placeholder.path[0]}
        ) from exc
