"""Tokens to statements: the whole program as a tree."""

from __future__ import annotations

from assay.sandbox.hog.errors import HogCompileError
from assay.sandbox.hog.expressions import ExpressionParser
from assay.sandbox.hog.lexer import Kind, Token, tokenize
from assay.sandbox.hog.limits import MAX_SOURCE_BYTES
from assay.sandbox.hog.syntax import (
    Access,
    Assign,
    Block,
    CatchClause,
    Define,
    Evaluate,
    Expression,
    For,
    ForIn,
    Function,
    If,
    Let,
    Name,
    Return,
    Statement,
    Throw,
    Try,
    While,
)


def parse(source: str) -> Block:
    """The tree of a program.

    Raises:
        HogCompileError: The source is too long or no Hog.
    """
    return _parser(source).parse_program()


def parse_lone_expression(source: str) -> Block:
    """The tree of a program that returns the value of an expression, which is all that the source may hold.

    Raises:
        HogCompileError: The source is too long or no expression.
    """
    return _parser(source).parse_returned()


def _parser(source: str) -> _Parser:
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAX_SOURCE_BYTES:
        raise HogCompileError.at(f"The program has {size} bytes; the limit is {MAX_SOURCE_BYTES}", source, 0)
    return _Parser(source, tokenize(source))


class _Parser(ExpressionParser):
    def parse_returned(self) -> Block:
        expression = self.parse_expression()
        if self.token.kind is not Kind.END:
            self.refuse("an operator or the end of the expression")
        return Block(0, [Return(0, expression)])

    def parse_program(self) -> Block:
        statements: list[Statement] = []
        while self.token.kind is not Kind.END:
            statements.extend(self._parse_statements())
        return Block(0, statements)

    def parse_block(self) -> Block:
        start = self.expect_symbol("{", "before a block").start
        statements: list[Statement] = []
        while not self.take_symbol("}"):
            if self.token.kind is Kind.END:
                self.refuse("`}` at the end of a block")
            statements.extend(self._parse_statements())
        return Block(start, statements)

    def _parse_statements(self) -> list[Statement]:
        """The next statement, or nothing for a lone semicolon."""
        if self.take_symbol(";"):
            return []
        statement = self._parse_statement()
        self.take_symbol(";")
        return [statement]

    def _parse_body(self) -> Statement:
        """What an ``if`` or a loop governs."""
        if semicolon := self.take_symbol(";"):
            return Block(semicolon.start, [])
        statement = self._parse_statement()
        # The semicolon of `if (a) b; else c` belongs to the branch.
        self.take_symbol(";")
        return statement

    def _parse_statement(self) -> Statement:
        with self.nested():
            token = self.token
            if token.kind is Kind.NAME and not self.peek().is_symbol(":="):
                special = self._parse_keyword(str(token.value).lower(), token)
                if special is not None:
                    return special
            if token.is_symbol("{") and not self.brace_opens_object():
                return self.parse_block()
            return self._parse_plain()

    def _parse_keyword(self, word: str, token: Token) -> Statement | None:
        match word:
            case "let":
                return self._parse_let()
            case "fn" | "fun":
                return self._parse_function()
            case "return":
                self.take()
                return Return(token.start, self.parse_expression() if self.starts_expression() else None)
            case "throw":
                self.take()
                return Throw(token.start, self.parse_expression())
            case "if":
                return self._parse_if()
            case "while":
                self.take()
                condition = self._parse_condition("while")
                return While(token.start, condition, self._parse_body())
            case "for":
                return self._parse_for()
            case "try":
                return self._parse_try()
            case "catch":
                raise self.error("`catch` without `try`", token)
            case "finally":
                raise self.error("`finally` is not part of the language; put the code behind the `try`", token)
            case "else":
                raise self.error("`else` without `if`", token)
            case "break" | "continue" if self._stands_alone():
                raise self.error(f"`{word}` is not part of the language; use the condition of the loop", token)
            case _:
                return None

    def _stands_alone(self) -> bool:
        return not self.peek().is_symbol("(", "[", ".", "?.", "=", "==")

    def _parse_plain(self) -> Statement:
        """An expression, or an assignment to one."""
        start = self.token
        expression = self.parse_expression()
        operator = self.take_symbol(":=")
        if operator is None:
            return Evaluate(start.start, expression)
        if not isinstance(expression, Name | Access):
            raise self.error("Only a variable, a property or an element can be assigned to", start)
        return Assign(operator.start, expression, self.parse_expression())

    def _parse_let(self) -> Let:
        self.take()
        name = self.expect_name("a variable")
        value = self.parse_expression() if self.take_symbol(":=") else None
        if value is None and self.token.is_symbol("="):
            self.refuse("`:=` (a single `=` compares)")
        return Let(name.start, str(name.value), value)

    def _parse_function(self) -> Define:
        start = self.take().start
        name = str(self.expect_name("a function").value)
        parameters = self.parse_parameters()
        return Define(start, Function(start, name, parameters, self.parse_block()))

    def _parse_condition(self, word: str) -> Expression:
        self.expect_symbol("(", f"after `{word}`")
        condition = self.parse_expression()
        self.expect_symbol(")", f"after the condition of `{word}`")
        return condition

    def _parse_if(self) -> If:
        start = self.take().start
        branches = [(self._parse_condition("if"), self._parse_body())]
        while self.take_word("else"):
            if not self.take_word("if"):
                return If(start, branches, self._parse_body())
            branches.append((self._parse_condition("if"), self._parse_body()))
        return If(start, branches, None)

    def _parse_for(self) -> For | ForIn:
        start = self.take().start
        self.expect_symbol("(", "after `for`")
        if self.token.is_word("let"):
            if self.peek(2).is_word("in"):
                return self._parse_for_in(start, with_key=False)
            if self.peek(2).is_symbol(",") and self.peek(4).is_word("in"):
                return self._parse_for_in(start, with_key=True)
        first = None if self.token.is_symbol(";") else self._parse_simple()
        self.expect_symbol(";", "after the first part of `for`")
        if self.token.is_symbol(";"):
            self.refuse("a condition in `for`; without one it would never end")
        condition = self.parse_expression()
        self.expect_symbol(";", "after the condition of `for`")
        step = None if self.token.is_symbol(")") else self._parse_simple()
        self.expect_symbol(")", "after the parts of `for`")
        return For(start, first, condition, step, self._parse_body())

    def _parse_simple(self) -> Statement:
        return self._parse_let() if self.token.is_word("let") else self._parse_plain()

    def _parse_for_in(self, start: int, *, with_key: bool) -> ForIn:
        self.take()
        key = None
        if with_key:
            key = str(self.expect_name("a key").value)
            self.take()
        value = self.expect_name("a value")
        if value.value == key:
            raise self.error(f"The variable `{key}` is named twice", value)
        self.take()
        collection = self.parse_expression()
        self.expect_symbol(")", "after the collection of `for`")
        return ForIn(start, key, str(value.value), collection, self._parse_body())

    def _parse_try(self) -> Try:
        start = self.take()
        body = self.parse_block()
        catches: list[CatchClause] = []
        while catch := self.take_word("catch"):
            catches.append(self._parse_catch(catch.start))
        if self.token.is_word("finally"):
            raise self.error("`finally` is not part of the language; put the code behind the `try`", self.token)
        if not catches:
            raise self.error("`try` needs at least one `catch`", start)
        return Try(start.start, body, catches)

    def _parse_catch(self, start: int) -> CatchClause:
        name, type_name = "e", None
        if self.take_symbol("("):
            name = str(self.expect_name("the caught error").value)
            if self.take_symbol(":"):
                type_name = str(self.expect_name("the type of an error").value)
            self.expect_symbol(")", "after the caught error")
        return CatchClause(start, name, type_name, self.parse_block())
