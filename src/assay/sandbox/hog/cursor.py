"""A place in the list of tokens, and how deep the parser is in it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

from assay.sandbox.hog.errors import HogCompileError
from assay.sandbox.hog.lexer import Kind, Token
from assay.sandbox.hog.limits import MAX_NESTING

# Words with one meaning, which is not a name.
RESERVED = frozenset(
    "let fn fun return if else while for throw try catch finally null true false case not inf nan".split()  # noqa: SIM905
)
# Words between two operands; as names they are known only where a function may stand.
OPERATOR_WORDS = frozenset(["and", "or", "in", "is", "like", "ilike", "between"])


class Cursor:
    """Looks at tokens and takes them one by one."""

    def __init__(self, source: str, tokens: list[Token]) -> None:
        self.source = source
        self._tokens = tokens
        self._index = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self._index]

    def peek(self, distance: int = 1) -> Token:
        """A token further on; beyond the end it is the last one."""
        return self._tokens[min(self._index + distance, len(self._tokens) - 1)]

    def take(self) -> Token:
        """The next token, which is then behind the cursor."""
        token = self.token
        if token.kind is not Kind.END:
            self._index += 1
        return token

    def take_symbol(self, *symbols: str) -> Token | None:
        """The next token, if it is one of these symbols."""
        return self.take() if self.token.is_symbol(*symbols) else None

    def take_word(self, *words: str) -> Token | None:
        """The next token, if it is one of these keywords."""
        return self.take() if self.token.is_word(*words) else None

    def expect_symbol(self, symbol: str, purpose: str) -> Token:
        """Take a symbol that must come now.

        Raises:
            HogCompileError: Another token comes.
        """
        return self.take_symbol(symbol) or self.refuse(f"`{symbol}` {purpose}")

    def expect_word(self, word: str, purpose: str) -> Token:
        """Take a keyword that must come now.

        Raises:
            HogCompileError: Another token comes.
        """
        return self.take_word(word) or self.refuse(f"`{word}` {purpose}")

    def expect_name(self, purpose: str) -> Token:
        """Take a name that the program gives to something.

        Raises:
            HogCompileError: Another token comes, or a word that cannot be a name.
        """
        token = self.token
        if token.kind is Kind.NAME and str(token.value).lower() in RESERVED:
            raise self.error(f"`{token.value}` is a word of the language and cannot name {purpose}", token)
        if token.kind not in (Kind.NAME, Kind.QUOTED):
            self.refuse(f"a name for {purpose}")
        return self.take()

    def refuse(self, expected: str) -> NoReturn:
        """Report that something else should stand here.

        Raises:
            HogCompileError: Always.
        """
        raise self.error(f"Expected {expected}, found {self.token.describe()}", self.token)

    def error(self, message: str, token: Token) -> HogCompileError:
        """An error at a token."""
        return HogCompileError.at(message, self.source, token.start)

    @contextmanager
    def nested(self) -> Generator[None]:
        """One level deeper.

        Raises:
            HogCompileError: Too deep.
        """
        if self._depth == MAX_NESTING:
            raise self.error(f"The program is nested too deeply: more than {MAX_NESTING} levels", self.token)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def brace_opens_object(self) -> bool:
        """Whether the ``{`` at the cursor begins an object rather than a block.

        An object has a ``:`` of its own (not one of a ``? :``) before anything that only statements have.
        """
        depth = questions = 0
        for index in range(self._index, len(self._tokens)):
            token = self._tokens[index]
            if token.is_symbol("{", "(", "["):
                depth += 1
            elif token.is_symbol("}", ")", "]"):
                depth -= 1
                if depth == 0:
                    return False
            elif depth == 1 and token.kind is Kind.SYMBOL:
                if token.value == "?":
                    questions += 1
                elif token.value == ":" and questions:
                    questions -= 1
                elif token.value in (":", ";", ":=", ","):
                    return token.value == ":"
        return False
