"""Characters to tokens.

Templates (``f'a {b} c'``) hold expressions, which hold strings and templates: the lexer keeps a stack of the braces
that are open in each. The parser sees one flat list: template opens, text, brace, expression, brace, text, template
closes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from assay.sandbox.hog.errors import HogCompileError
from assay.sandbox.hog.limits import MAX_INTEGER_BITS, MAX_NESTING


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    """A bare word, keyword or not."""
    QUOTED = auto()
    """A name in back-ticks or double quotes."""
    STRING = auto()
    NUMBER = auto()
    SYMBOL = auto()
    OPEN_TEMPLATE = auto()
    CLOSE_TEMPLATE = auto()
    END = auto()


class Token(NamedTuple):
    """A token, its meaning, and where it stands."""

    kind: Kind
    value: str | int | float
    """The word, the symbol, the number, or the text between quotes with its escapes resolved."""
    start: int
    end: int

    def is_symbol(self, *symbols: str) -> bool:
        """Whether this is one of the given symbols."""
        return self.kind is Kind.SYMBOL and self.value in symbols

    def is_word(self, *words: str) -> bool:
        """Whether this is one of the given keywords, in any case."""
        return self.kind is Kind.NAME and str(self.value).lower() in words

    def describe(self) -> str:
        """The token in a message for people."""
        match self.kind:
            case Kind.END:
                return "the end of the program"
            case Kind.STRING | Kind.OPEN_TEMPLATE | Kind.CLOSE_TEMPLATE:
                return "a string"
            case _:
                return f"`{self.value}`"


_BLANK = re.compile(r"(?:[\s\ufeff]+|--[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|0[bB][01]+|(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?", re.ASCII)
_DIGITS = re.compile(r"[0-9]+")
_SYMBOL = re.compile(r":=|->|\?\?|\?\.|\|\||==|!=|<>|<=|>=|=~\*|=~|!~\*|!~|~\*|[~=<>+\-*/%()\[\]{},;:?.]")
_PLAIN = {quote: re.compile(rf"[^\\{quote}]+") for quote in "'\"`"}
_PLAIN_TEMPLATE = re.compile(r"[^\\'{]+")
_ESCAPES = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0", "a": "\a", "v": "\v", "\\": "\\"}
_HEX = re.compile(r"[0-9a-fA-F]{2}")
# After one of these words a value follows, so that `.5` is a number there and not an access.
_OPENING_WORDS = frozenset(
    "return throw and or not in like ilike between is case when then else let if while for as".split()  # noqa: SIM905
)


@dataclass(slots=True)
class _Reading:
    source: str
    at: int = 0


def tokenize(source: str) -> list[Token]:
    """All tokens of a program; the last one is of kind ``END``.

    Raises:
        HogCompileError: At a character that begins no token, or in a string that does not end.
    """
    reading = _Reading(source)
    tokens: list[Token] = []
    # For each template that is being read: the number of braces open inside its present expression.
    braces: list[int] = []
    while True:
        if found := _BLANK.match(source, reading.at):
            reading.at = found.end()
        if reading.at >= len(source):
            break
        token = _next_token(reading, tokens[-1] if tokens else None)
        tokens.append(token)
        if token.kind is Kind.OPEN_TEMPLATE:
            if len(braces) == MAX_NESTING:
                raise HogCompileError.at("Templates are nested too deeply", source, token.start)
            braces.append(0)
            _read_template_text(reading, tokens, braces)
        elif braces:
            _follow_braces(reading, tokens, braces)
    if braces:
        raise HogCompileError.at("This template does not end: a `}` and a quote are missing", source, len(source))
    tokens.append(Token(Kind.END, "", len(source), len(source)))
    return tokens


def _follow_braces(reading: _Reading, tokens: list[Token], braces: list[int]) -> None:
    token = tokens[-1]
    if token.is_symbol("{"):
        braces[-1] += 1
    elif token.is_symbol("}"):
        braces[-1] -= 1
        if braces[-1] == 0:
            _read_template_text(reading, tokens, braces)


def _next_token(reading: _Reading, previous: Token | None) -> Token:
    source, start = reading.source, reading.at
    if source.startswith("f'", start):
        reading.at = start + 2
        return Token(Kind.OPEN_TEMPLATE, "f'", start, reading.at)
    if found := _WORD.match(source, start):
        return _advance(reading, Kind.NAME, found[0])
    if source[start] in "'\"`":
        return _read_quoted(reading)
    if number := _read_number(reading, previous):
        return number
    if source.startswith("/*", start):
        raise HogCompileError.at("This comment does not end: `*/` is missing", source, start)
    if found := _SYMBOL.match(source, start):
        return _advance(reading, Kind.SYMBOL, found[0])
    raise HogCompileError.at(f"Unexpected character {source[start]!r}", source, start)


def _advance(reading: _Reading, kind: Kind, text: str) -> Token:
    start = reading.at
    reading.at += len(text)
    return Token(kind, text, start, reading.at)


def _read_number(reading: _Reading, previous: Token | None) -> Token | None:
    source, start = reading.source, reading.at
    if previous is not None and previous.is_symbol(".", "?."):
        found = _DIGITS.match(source, start)
    elif source[start] == "." and previous is not None and _ends_value(previous):
        return None
    else:
        found = _NUMBER.match(source, start)
    if found is None:
        return None
    if _WORD.match(source, found.end()):
        raise HogCompileError.at("A number must not touch a name; put a space or an operator between", source, start)
    reading.at = found.end()
    return Token(Kind.NUMBER, _parse_number(found[0], source, start), start, reading.at)


def _ends_value(token: Token) -> bool:
    if token.kind is Kind.SYMBOL:
        return token.value in (")", "]", "}")
    if token.kind is Kind.NAME:
        return str(token.value).lower() not in _OPENING_WORDS
    return token.kind is not Kind.OPEN_TEMPLATE


def _parse_number(text: str, source: str, start: int) -> int | float:
    try:
        match text[:2].lower():
            case "0x":
                number = int(text, 16)
            case "0b":
                number = int(text, 2)
            case _ if text.isdigit():
                number = int(text)
            case _:
                return float(text)
    except ValueError:
        number = 1 << MAX_INTEGER_BITS
    if number.bit_length() > MAX_INTEGER_BITS:
        raise HogCompileError.at(f"This number is too large: more than {MAX_INTEGER_BITS} bits", source, start)
    return number


def _read_quoted(reading: _Reading) -> Token:
    """A string in single quotes, or a name in back-ticks or double quotes; a doubled quote stands for itself."""
    source, start = reading.source, reading.at
    quote = source[start]
    reading.at += 1
    parts: list[str] = []
    while True:
        if found := _PLAIN[quote].match(source, reading.at):
            parts.append(found[0])
            reading.at = found.end()
        if reading.at >= len(source):
            raise HogCompileError.at("This string does not end: its closing quote is missing", source, start)
        if source[reading.at] == "\\":
            parts.append(_read_escape(reading, quote))
        elif source.startswith(quote * 2, reading.at):
            parts.append(quote)
            reading.at += 2
        else:
            break
    reading.at += 1
    kind = Kind.STRING if quote == "'" else Kind.QUOTED
    return Token(kind, "".join(parts), start, reading.at)


def _read_template_text(reading: _Reading, tokens: list[Token], braces: list[int]) -> None:
    """Text of the innermost template up to its next expression or its end."""
    source, start = reading.source, reading.at
    parts: list[str] = []
    while True:
        if found := _PLAIN_TEMPLATE.match(source, reading.at):
            parts.append(found[0])
            reading.at = found.end()
        if reading.at >= len(source):
            raise HogCompileError.at("This template does not end: its closing quote is missing", source, start - 1)
        if source[reading.at] == "\\":
            parts.append(_read_escape(reading, "'{"))
        elif source.startswith("''", reading.at):
            parts.append("'")
            reading.at += 2
        else:
            break
    if parts:
        tokens.append(Token(Kind.STRING, "".join(parts), start, reading.at))
    if source[reading.at] == "{":
        tokens.append(_advance(reading, Kind.SYMBOL, "{"))
        braces[-1] = 1
    else:
        tokens.append(_advance(reading, Kind.CLOSE_TEMPLATE, "'"))
        braces.pop()


def _read_escape(reading: _Reading, quotes: str) -> str:
    source, start = reading.source, reading.at
    letter = source[start + 1 : start + 2]
    reading.at += 2
    if letter == "x" and (found := _HEX.match(source, reading.at)):
        reading.at += 2
        return chr(int(found[0], 16))
    if letter and letter in quotes:
        return letter
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    message = f"Unknown escape `\\{letter}`; write a backslash as `\\\\`"
    raise HogCompileError.at(message, source, start)
