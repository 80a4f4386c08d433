"""Tokens to expressions: a Pratt parser, one loop over the levels of precedence.

It is written by hand and not generated from a grammar, because the language leans on context: statements follow each
other without a separator, most keywords are names where no operator can stand, ``{`` opens a block or an object, ``(a,
b)`` is a tuple until an arrow follows, templates hold expressions inside strings. And nesting must be bounded while
parsing, and errors must say what was expected.
"""

from __future__ import annotations

from abc import abstractmethod
from enum import IntEnum

from assay.sandbox.hog.cursor import OPERATOR_WORDS, RESERVED, Cursor
from assay.sandbox.hog.lexer import Kind, Token
from assay.sandbox.hog.syntax import (
    Access,
    ArrayLiteral,
    Between,
    Binary,
    Block,
    Call,
    Case,
    Conditional,
    Expression,
    Function,
    Literal,
    Name,
    NullTest,
    ObjectLiteral,
    ShortCircuit,
    Template,
    TupleLiteral,
    Unary,
)


class Level(IntEnum):
    """Precedence, loosest first (contract §5.3)."""

    ANY = 0
    CONDITIONAL = 1
    BETWEEN = 2
    OR = 3
    AND = 4
    NOT = 5
    COALESCE = 6
    IS = 7
    COMPARE = 8
    ADD = 9
    MULTIPLY = 10
    NEGATE = 11
    POSTFIX = 12


_SYMBOL_LEVELS = {
    **dict.fromkeys(("(", "[", ".", "?."), Level.POSTFIX),
    **dict.fromkeys("*/%", Level.MULTIPLY),
    **dict.fromkeys(("+", "-", "||"), Level.ADD),
    **dict.fromkeys(("=", "==", "!=", "<>", "<", "<=", ">", ">="), Level.COMPARE),
    **dict.fromkeys(("=~", "~", "!~", "=~*", "~*", "!~*"), Level.COMPARE),
    "??": Level.COALESCE,
    "?": Level.CONDITIONAL,
}
_WORD_LEVELS = {
    **dict.fromkeys(("in", "like", "ilike"), Level.COMPARE),
    "is": Level.IS,
    "and": Level.AND,
    "or": Level.OR,
    "between": Level.BETWEEN,
}
_NEGATABLE = ("in", "like", "ilike", "between")
_SAME = {"=": "==", "<>": "!=", "~": "=~", "~*": "=~*"}
_CONSTANTS: dict[str, float | bool | None] = {
    "null": None,
    "true": True,
    "false": False,
    "inf": float("inf"),
    "nan": float("nan"),
}


class ExpressionParser(Cursor):
    """Parses expressions; blocks of lambdas are left to the parser of statements."""

    @abstractmethod
    def parse_block(self) -> Block:
        """``{ statements }``."""

    def parse_expression(self, level: Level = Level.ANY) -> Expression:
        """The longest expression whose operators bind at least as tightly as ``level``."""
        with self.nested():
            left = self._parse_prefix()
            while True:
                found = self._infix_level()
                if found is None or found < level:
                    return left
                left = self._parse_infix(left, found)

    def starts_expression(self) -> bool:
        """Whether an expression can begin at the cursor."""
        token = self.token
        match token.kind:
            case Kind.END | Kind.CLOSE_TEMPLATE:
                return False
            case Kind.SYMBOL:
                return token.value in ("(", "[", "{", "-")
            case Kind.NAME:
                word = str(token.value).lower()
                return word in _CONSTANTS or word in ("case", "not") or self._is_name(token)
            case _:
                return True

    def _is_name(self, token: Token) -> bool:
        word = str(token.value).lower()
        if word == "if" or word in OPERATOR_WORDS:
            return self.peek().is_symbol("(") or (word != "if" and self._ends_operand(self.peek()))
        if word == "not":
            return self._ends_operand(self.peek())
        return word not in RESERVED

    @staticmethod
    def _ends_operand(token: Token) -> bool:
        return token.is_symbol(")", "]", "}", ",") or token.kind is Kind.END

    # Prefix

    def _parse_prefix(self) -> Expression:
        token = self.token
        match token.kind:
            case Kind.NUMBER | Kind.STRING:
                return Literal(self.take().start, token.value)
            case Kind.QUOTED:
                return self._parse_name()
            case Kind.OPEN_TEMPLATE:
                return self._parse_template()
            case Kind.NAME:
                return self._parse_word(token)
            case _:
                return self._parse_symbol(token)

    def _parse_symbol(self, token: Token) -> Expression:
        if token.is_symbol("-"):
            self.take()
            return _negate(token, self.parse_expression(Level.NEGATE))
        if token.is_symbol("("):
            return self._parse_lambda() if self._arrow_follows() else self._parse_parenthesis()
        if token.is_symbol("["):
            self.take()
            return ArrayLiteral(token.start, self._parse_list("]"))
        if token.is_symbol("{"):
            return self._parse_object()
        return self.refuse("an expression")

    def _parse_word(self, token: Token) -> Expression:
        word = str(token.value).lower()
        if self._is_name(token):
            return self._parse_name()
        if word in _CONSTANTS:
            return Literal(self.take().start, _CONSTANTS[word])
        if word == "not":
            self.take()
            return Unary(token.start, "not", self.parse_expression(Level.NOT))
        if word == "case":
            return self._parse_case()
        return self.refuse("an expression")

    def _parse_name(self) -> Expression:
        if self.peek().is_symbol("->"):
            return self._parse_lambda()
        token = self.take()
        return Name(token.start, str(token.value))

    def _parse_template(self) -> Template:
        start = self.take().start
        parts: list[Expression] = []
        while self.token.kind is not Kind.CLOSE_TEMPLATE:
            if self.token.kind is Kind.STRING:
                token = self.take()
                parts.append(Literal(token.start, token.value))
            else:
                self.expect_symbol("{", "before an expression of the template")
                parts.append(self.parse_expression())
                self.expect_symbol("}", "after an expression of the template")
        self.take()
        return Template(start, parts)

    def _parse_parenthesis(self) -> Expression:
        start = self.take().start
        if self.take_symbol(")"):
            return TupleLiteral(start, [])
        first = self.parse_expression()
        if self.take_symbol(")"):
            return first
        self.expect_symbol(",", "or `)` after an expression in parentheses")
        return TupleLiteral(start, [first, *self._parse_list(")")])

    def _parse_list(self, closing: str) -> list[Expression]:
        """Expressions up to the closing symbol; a trailing comma is fine."""
        items: list[Expression] = []
        while not self.take_symbol(closing):
            items.append(self.parse_expression())
            if not self.token.is_symbol(closing):
                self.expect_symbol(",", f"or `{closing}` after an element")
        return items

    def _parse_object(self) -> ObjectLiteral:
        start = self.take().start
        entries: list[tuple[Expression, Expression]] = []
        while not self.take_symbol("}"):
            key = self.parse_expression()
            self.expect_symbol(":", "after the key of an object")
            entries.append((key, self.parse_expression()))
            if not self.token.is_symbol("}"):
                self.expect_symbol(",", "or `}` after a value of an object")
        return ObjectLiteral(start, entries)

    def _parse_case(self) -> Case:
        start = self.take().start
        subject = None if self.token.is_word("when") else self.parse_expression()
        branches: list[tuple[Expression, Expression]] = []
        while self.take_word("when"):
            condition = self.parse_expression()
            self.expect_word("then", "after the condition of a `case`")
            branches.append((condition, self.parse_expression()))
        if not branches:
            self.refuse("`when` in a `case`")
        otherwise = self.parse_expression() if self.take_word("else") else None
        self.expect_word("end", "after a `case`")
        return Case(start, subject, branches, otherwise)

    def _arrow_follows(self) -> bool:
        """Whether the parenthesis at the cursor holds only names and an arrow stands behind it."""
        distance = 1
        while self.peek(distance).kind in (Kind.NAME, Kind.QUOTED):
            distance += 1
            if not self.peek(distance).is_symbol(","):
                break
            distance += 1
        return self.peek(distance).is_symbol(")") and self.peek(distance + 1).is_symbol("->")

    def _parse_lambda(self) -> Function:
        start = self.token.start
        if self.token.is_symbol("("):
            parameters = self.parse_parameters()
        else:
            parameters = [str(self.expect_name("a parameter").value)]
        self.expect_symbol("->", "after the parameters of a lambda")
        if self.token.is_symbol("{") and not self.brace_opens_object():
            return Function(start, "lambda", parameters, self.parse_block())
        return Function(start, "lambda", parameters, self.parse_expression())

    def parse_parameters(self) -> list[str]:
        """``(a, b)``."""
        self.expect_symbol("(", "before the parameters")
        names: list[str] = []
        while not self.take_symbol(")"):
            token = self.expect_name("a parameter")
            if token.value in names:
                raise self.error(f"The parameter `{token.value}` is named twice", token)
            names.append(str(token.value))
            if not self.token.is_symbol(")"):
                self.expect_symbol(",", "or `)` after a parameter")
        return names

    # Infix

    def _infix_level(self) -> Level | None:
        token = self.token
        if token.kind is Kind.SYMBOL:
            return _SYMBOL_LEVELS.get(str(token.value))
        if token.kind is not Kind.NAME:
            return None
        word = str(token.value).lower()
        if word == "not":
            following = self.peek()
            return _WORD_LEVELS[str(following.value).lower()] if following.is_word(*_NEGATABLE) else None
        return _WORD_LEVELS.get(word)

    def _parse_infix(self, left: Expression, level: Level) -> Expression:
        token = self.take()
        match level:
            case Level.POSTFIX:
                return self._parse_postfix(left, token)
            case Level.CONDITIONAL:
                then = self.parse_expression()
                self.expect_symbol(":", "between the branches of `? :`")
                return Conditional(token.start, left, then, self.parse_expression(Level.CONDITIONAL))
            case Level.BETWEEN:
                return self._parse_between(left, token)
            case Level.IS:
                negated = self.take_word("not") is not None
                self.expect_word("null", "after `is`")
                return NullTest(token.start, left, negated)
            case Level.OR | Level.AND | Level.COALESCE:
                operator = str(token.value).lower()
                return ShortCircuit(token.start, left, operator, self.parse_expression(Level(level + 1)))
            case _:
                return self._parse_binary(left, token, level)

    def _parse_binary(self, left: Expression, token: Token, level: Level) -> Binary:
        operator = str(token.value).lower()
        if operator == "not":
            operator = f"not {str(self.take().value).lower()}"
        before = self.source[token.start - 1 : token.start]
        spaced = before.isspace() or self.token.start > token.end
        right = self.parse_expression(Level(level + 1))
        return Binary(token.start, left, _SAME.get(operator, operator), right, spaced)

    def _parse_between(self, left: Expression, token: Token) -> Between:
        negated = token.is_word("not")
        if negated:
            self.take()
        # The lower bound ends at the first `and`; by the levels, the upper one may contain another.
        low = self.parse_expression(Level.NOT)
        self.expect_word("and", "between the bounds of `between`")
        return Between(token.start, left, low, self.parse_expression(Level.OR), negated)

    def _parse_postfix(self, left: Expression, token: Token) -> Expression:
        if token.value == "(":
            return Call(token.start, left, self._parse_list(")"))
        if token.value == "[" or self.take_symbol("["):
            key = self.parse_expression()
            self.expect_symbol("]", "after an index")
            return Access(token.start, left, key, dotted=False)
        name = self.token
        is_index = name.kind is Kind.NUMBER and isinstance(name.value, int)
        if name.kind not in (Kind.NAME, Kind.QUOTED) and not is_index:
            self.refuse(f"the name of a property after `{token.value}`")
        return Access(token.start, left, Literal(self.take().start, name.value), dotted=True)


def _negate(token: Token, operand: Expression) -> Expression:
    """A minus before a number makes a negative constant."""
    if isinstance(operand, Literal) and isinstance(operand.value, int | float) and not isinstance(operand.value, bool):
        return Literal(token.start, -operand.value)
    return Unary(token.start, "-", operand)
