"""Tree to instructions, with the checks that need no run: scopes, assignments, constant indexes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from assay.sandbox.hog.code import FunctionCode, Op, Program
from assay.sandbox.hog.errors import HogCompileError
from assay.sandbox.hog.operators import BINARY, UNARY
from assay.sandbox.hog.parser import parse, parse_lone_expression
from assay.sandbox.hog.scopes import Captured, FunctionScope, Variable
from assay.sandbox.hog.syntax import (
    Access,
    ArrayLiteral,
    Assign,
    Between,
    Binary,
    Block,
    Call,
    Case,
    CatchClause,
    Conditional,
    Define,
    Evaluate,
    Expression,
    For,
    ForIn,
    Function,
    If,
    LeftFirst,
    Let,
    Literal,
    Name,
    NullTest,
    ObjectLiteral,
    Return,
    ShortCircuit,
    Statement,
    Template,
    Throw,
    Try,
    TupleLiteral,
    Unary,
    While,
)

# The globals of an evaluation (contract §5.10): after `a.b-` they are surely meant as operands.
KNOWN_GLOBALS = frozenset(("input", "output", "properties", "event", "target", "evaluation_events", "trace", "events"))
# Library functions that evaluate only what they need, with the numbers of arguments they take. In any other number, or
# used as values, they are ordinary functions.
_LAZY: dict[str, Callable[[int], bool]] = {
    "if": lambda count: count == 3,
    "multiIf": lambda count: count >= 3 and count % 2 == 1,
    "ifNull": lambda count: count == 2,
    "coalesce": lambda count: count >= 1,
}
# Keys that one instruction follows into a global; more are followed one by one.
_MAX_PATH = 16
_FIRST_VALUE = ("ifNull", "coalesce")
_KEEPING_JUMPS = {"and": Op.JUMP_IF_FALSE_KEEP, "or": Op.JUMP_IF_TRUE_KEEP, "??": Op.JUMP_IF_SET_KEEP}


def compile_program(source: str) -> Program:
    """Check and compile a program.

    Unknown functions and globals are not errors here: they fail when they are reached.

    Args:
        source: At most `limits.MAX_SOURCE_BYTES` of UTF-8.

    Raises:
        HogCompileError: With line, column and the offending line.
    """
    return Program(source, _Compiler(source).compile_main(parse(source)))


def compile_expression(source: str) -> Program:
    """As `compile_program`, of an expression: the program returns its value."""
    return Program(source, _Compiler(source).compile_main(parse_lone_expression(source)))


class _Compiler:
    def __init__(self, source: str) -> None:
        self._source = source
        self._scope = FunctionScope("main")

    def compile_main(self, tree: Block) -> FunctionCode:
        self._statements(tree.statements)
        self._end_function(len(self._source))
        return self._scope.finish(0)

    def _end_function(self, at: int) -> None:
        self._scope.emit(Op.CONSTANT, None, at=at)
        self._scope.emit(Op.RETURN, at=at)

    @contextmanager
    def _block(self) -> Generator[None]:
        self._scope.blocks.append({})
        yield
        self._scope.blocks.pop()

    def _error(self, message: str, at: int) -> HogCompileError:
        return HogCompileError.at(message, self._source, at)

    # Statements

    def _statements(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        _STATEMENTS[type(statement)](self, statement)

    def block(self, node: Block) -> None:
        with self._block():
            self._statements(node.statements)

    def let(self, node: Let) -> None:
        # The value is computed before the name exists, so `let a := a` reads an outer `a`.
        self._optional(node.value, node.at)
        self._declare(node.name, node.at)

    def _declare(self, name: str, at: int) -> Variable:
        """Give the top of the stack to a new variable."""
        variable = self._scope.declare(name)
        if variable is None:
            raise self._error(f"Variable `{name}` is already declared in this scope", at)
        self._scope.emit(Op.DECLARE_CELL, variable, at=at)
        return variable

    def assign(self, node: Assign) -> None:
        if isinstance(node.target, Access):
            self._assign_element(node.target, node)
            return
        found = self._scope.resolve(node.target.name)
        if found is None:
            advice = f"declare it first: `let {node.target.name} := …`"
            raise self._error(f"Variable `{node.target.name}` is not declared here; {advice}", node.target.at)
        self._expression(node.value)
        self._store(found, node.at)

    def _assign_element(self, target: Access, node: Assign) -> None:
        root: Expression = target
        while isinstance(root, Access):
            root = root.left
        if isinstance(root, Name) and self._scope.resolve(root.name) is None:
            advice = "globals cannot be changed; copy it into a variable first"
            raise self._error(f"Variable `{root.name}` is not declared here; {advice}", root.at)
        self._expression(target.left)
        self._check_index(target.key)
        self._expression(target.key)
        self._expression(node.value)
        self._scope.emit(Op.ASSIGN, at=target.at)

    def _store(self, found: Variable | Captured, at: int) -> None:
        if isinstance(found, Captured):
            self._scope.emit(Op.STORE_CAPTURED, found.index, at=at)
        else:
            self._scope.emit(Op.STORE_LOCAL, found, at=at)

    def evaluate(self, node: Evaluate) -> None:
        self._expression(node.expression)
        self._scope.emit(Op.POP, at=node.at)

    def return_(self, node: Return) -> None:
        self._optional(node.value, node.at)
        self._scope.emit(Op.RETURN, at=node.at)

    def throw(self, node: Throw) -> None:
        self._expression(node.value)
        self._scope.emit(Op.THROW, at=node.at)

    def if_(self, node: If) -> None:
        exits: list[int] = []
        for condition, body in node.branches:
            self._expression(condition)
            skip = self._scope.emit(Op.JUMP_UNLESS, at=node.at)
            self._body(body)
            exits.append(self._scope.emit(Op.JUMP, at=node.at))
            self._scope.land(skip)
        if node.otherwise is not None:
            self._body(node.otherwise)
        self._scope.land(*exits)

    def _body(self, statement: Statement) -> None:
        with self._block():
            self._statement(statement)

    def while_(self, node: While) -> None:
        start = len(self._scope.instructions)
        self._expression(node.condition)
        leave = self._scope.emit(Op.JUMP_UNLESS, at=node.at)
        self._body(node.body)
        self._scope.emit(Op.JUMP, start, at=node.at)
        self._scope.land(leave)

    def for_(self, node: For) -> None:
        with self._block():
            if node.first is not None:
                self._statement(node.first)
            start = len(self._scope.instructions)
            self._expression(node.condition)
            leave = self._scope.emit(Op.JUMP_UNLESS, at=node.at)
            self._body(node.body)
            if node.step is not None:
                with self._block():
                    self._statement(node.step)
            self._scope.emit(Op.JUMP, start, at=node.at)
            self._scope.land(leave)

    def for_in(self, node: ForIn) -> None:
        self._expression(node.collection)
        slot = self._scope.hidden().slot
        self._scope.emit(Op.ITERATE, slot, at=node.at)
        start = self._scope.emit(Op.NEXT, (slot, node.key is not None), at=node.at)
        with self._block():
            self._declare(node.value, node.at)
            if node.key is not None:
                self._declare(node.key, node.at)
            self._body(node.body)
        self._scope.emit(Op.JUMP, start, at=node.at)
        self._scope.land(start)

    def define(self, node: Define) -> None:
        function = node.function
        # The variable exists before the closure is made, so that the function can call itself.
        self._scope.emit(Op.CONSTANT, None, at=node.at)
        variable = self._declare(function.name, node.at)
        self._function(function)
        self._scope.emit(Op.STORE_LOCAL, variable, at=node.at)

    def try_(self, node: Try) -> None:
        start = self._scope.emit(Op.TRY, at=node.at)
        self.block(node.body)
        self._scope.emit(Op.END_TRY, at=node.at)
        exits = [self._scope.emit(Op.JUMP, at=node.at)]
        self._scope.land(start)
        for clause in node.catches:
            exits.append(self._catch(clause))
        self._scope.emit(Op.THROW, at=node.at)
        self._scope.land(*exits)

    def _catch(self, clause: CatchClause) -> int:
        """One clause; returns its jump behind the statement."""
        wanted = None if clause.type in (None, "Error") else clause.type
        skip = self._scope.emit(Op.CATCH, (wanted,), at=clause.at)
        with self._block():
            self._declare(clause.name, clause.at)
            self.block(clause.body)
        leave = self._scope.emit(Op.JUMP, at=clause.at)
        self._scope.land(skip)
        return leave

    # Expressions

    def _optional(self, expression: Expression | None, at: int) -> None:
        if expression is None:
            self._scope.emit(Op.CONSTANT, None, at=at)
        else:
            self._expression(expression)

    def _expression(self, expression: Expression) -> None:
        chain: list[LeftFirst] = []
        while isinstance(expression, LeftFirst) and not self._is_whole(expression):
            chain.append(expression)
            expression = expression.left
        _EXPRESSIONS[type(expression)](self, expression)
        for node in reversed(chain):
            _CONTINUATIONS[type(node)](self, node)

    def _is_whole(self, node: LeftFirst) -> bool:
        """Nodes that are compiled at once, not after their left operand."""
        return self._library_name(node) is not None

    def _library_name(self, node: LeftFirst) -> str | None:
        if isinstance(node, Call) and isinstance(node.left, Name) and self._scope.resolve(node.left.name) is None:
            return node.left.name
        return None

    def literal(self, node: Literal) -> None:
        self._scope.emit(Op.CONSTANT, node.value, at=node.at)

    def name(self, node: Name) -> None:
        found = self._scope.resolve(node.name)
        if found is None:
            self._scope.emit(Op.LOAD_GLOBAL, (node.name,), at=node.at)
        elif isinstance(found, Captured):
            self._scope.emit(Op.LOAD_CAPTURED, found.index, at=node.at)
        else:
            self._scope.emit(Op.LOAD_LOCAL, found, at=node.at)

    def array(self, node: ArrayLiteral) -> None:
        self._items(node.items)
        self._scope.emit(Op.ARRAY, len(node.items), at=node.at)

    def tuple_(self, node: TupleLiteral) -> None:
        self._items(node.items)
        self._scope.emit(Op.TUPLE, len(node.items), at=node.at)

    def _items(self, items: Sequence[Expression]) -> None:
        for item in items:
            self._expression(item)

    def object_(self, node: ObjectLiteral) -> None:
        for key, value in node.entries:
            self._expression(key)
            self._expression(value)
        self._scope.emit(Op.OBJECT, len(node.entries), at=node.at)

    def template(self, node: Template) -> None:
        self._items(node.parts)
        self._scope.emit(Op.CONCAT, len(node.parts), at=node.at)

    def case(self, node: Case) -> None:
        subject = None
        if node.subject is not None:
            self._expression(node.subject)
            subject = self._scope.hidden()
            self._scope.emit(Op.STORE_LOCAL, subject, at=node.at)
        exits: list[int] = []
        for condition, value in node.branches:
            if subject is not None:
                self._scope.emit(Op.LOAD_LOCAL, subject, at=node.at)
            self._expression(condition)
            if subject is not None:
                self._scope.emit(Op.BINARY, BINARY["=="], at=node.at)
            exits.append(self._branch(value, node.at))
        self._optional(node.otherwise, node.at)
        self._scope.land(*exits)

    def _branch(self, value: Expression, at: int) -> int:
        """``value`` if the top of the stack holds; returns the jump behind the whole."""
        skip = self._scope.emit(Op.JUMP_UNLESS, at=at)
        self._expression(value)
        leave = self._scope.emit(Op.JUMP, at=at)
        self._scope.land(skip)
        return leave

    def function(self, node: Function) -> None:
        self._function(node)

    def _function(self, node: Function) -> None:
        self._scope = FunctionScope(node.name, parent=self._scope)
        for parameter in node.parameters:
            self._scope.declare(parameter)
        if isinstance(node.body, Block):
            self._statements(node.body.statements)
            self._end_function(node.at)
        else:
            self._expression(node.body)
            self._scope.emit(Op.RETURN, at=node.at)
        code, parent = self._scope.finish(len(node.parameters)), self._scope.parent
        if parent is None:
            raise AssertionError("the scope of a function has a parent by construction")
        self._scope = parent
        self._scope.emit(Op.CLOSURE, code, at=node.at)

    def unary(self, node: Unary) -> None:
        self._expression(node.operand)
        self._scope.emit(Op.UNARY, UNARY[node.operator], at=node.at)

    def library_call(self, node: Call) -> None:
        name = self._library_name(node) or ""
        arguments = node.arguments
        if name in _LAZY and _LAZY[name](len(arguments)):
            self._lazy_call(node, keeps_first=name in _FIRST_VALUE)
            return
        self._items(arguments)
        self._scope.emit(Op.CALL_LIBRARY, (name, len(arguments)), at=node.left.at)

    def _lazy_call(self, node: Call, *, keeps_first: bool) -> None:
        """``ifNull`` and ``coalesce`` evaluate up to the first value; ``if`` and ``multiIf`` the chosen branch."""
        exits: list[int] = []
        rest = list(node.arguments)
        while len(rest) > 1:
            self._expression(rest.pop(0))
            if keeps_first:
                exits.append(self._scope.emit(Op.JUMP_IF_SET_KEEP, at=node.at))
            else:
                exits.append(self._branch(rest.pop(0), node.at))
        self._items(rest)
        self._scope.land(*exits)

    # What follows a left operand

    def access(self, node: Access) -> None:
        self._check_index(node.key)
        if not isinstance(node.key, Literal):
            self._expression(node.key)
            self._scope.emit(Op.ACCESS, at=node.at)
            return
        last = self._scope.instructions[-1]
        if last.op is Op.LOAD_GLOBAL and len(last.argument) < _MAX_PATH and self._may_extend(node):
            self._scope.instructions[-1] = last._replace(argument=(*last.argument, node.key.value))
        else:
            self._scope.emit(Op.ACCESS_CONSTANT, node.key.value, at=node.at)

    def _may_extend(self, node: Access) -> bool:
        """Whether the last instruction computed exactly the left operand of this access."""
        left = node.left
        while isinstance(left, Access) and isinstance(left.key, Literal):
            left = left.left
        return isinstance(left, Name)

    def _check_index(self, key: Expression) -> None:
        if isinstance(key, Literal) and not isinstance(key.value, bool) and key.value == 0:
            raise self._error("Index 0 is not allowed: arrays start from 1", key.at)

    def call(self, node: Call) -> None:
        self._items(node.arguments)
        self._scope.emit(Op.CALL, len(node.arguments), at=node.at)

    def binary(self, node: Binary) -> None:
        self._check_hyphen(node)
        self._expression(node.right)
        if node.operator == "||":
            self._scope.emit(Op.CONCAT, 2, at=node.at)
        else:
            self._scope.emit(Op.BINARY, BINARY[node.operator], at=node.at)

    def _check_hyphen(self, node: Binary) -> None:
        """``a.b-c`` with no ``c`` in sight is a property with a hyphen in its name."""
        left, right = node.left, _root(node.right)
        if node.operator != "-" or node.spaced or not isinstance(left, Access) or not left.dotted:
            return
        if not isinstance(right, Name) or isinstance(node.right, Call) or right.name in KNOWN_GLOBALS:
            return
        if self._scope.resolve(right.name) is None and isinstance(left.key, Literal):
            name = f"{left.key.value}-{right.name}"
            message = f"`{right.name}` is not declared; for a property with a hyphen in its name write `['{name}']`"
            raise self._error(message, node.at)

    def short_circuit(self, node: ShortCircuit) -> None:
        leave = self._scope.emit(_KEEPING_JUMPS[node.operator], at=node.at)
        self._expression(node.right)
        if node.operator != "??":
            self._scope.emit(Op.TRUTH, at=node.at)
        self._scope.land(leave)

    def null_test(self, node: NullTest) -> None:
        self._scope.emit(Op.UNARY, UNARY["is not null" if node.negated else "is null"], at=node.at)

    def between(self, node: Between) -> None:
        subject = self._scope.hidden()
        self._scope.emit(Op.STORE_LOCAL, subject, at=node.at)
        self._scope.emit(Op.LOAD_LOCAL, subject, at=node.at)
        self._expression(node.low)
        self._scope.emit(Op.BINARY, BINARY[">="], at=node.at)
        leave = self._scope.emit(Op.JUMP_IF_FALSE_KEEP, at=node.at)
        self._scope.emit(Op.LOAD_LOCAL, subject, at=node.at)
        self._expression(node.high)
        self._scope.emit(Op.BINARY, BINARY["<="], at=node.at)
        self._scope.land(leave)
        if node.negated:
            self._scope.emit(Op.UNARY, UNARY["not"], at=node.at)

    def conditional(self, node: Conditional) -> None:
        leave = self._branch(node.then, node.at)
        self._expression(node.otherwise)
        self._scope.land(leave)


def _root(expression: Expression) -> Expression:
    """What a chain of accesses and calls starts from."""
    while isinstance(expression, Access | Call):
        expression = expression.left
    return expression


_Handler = Callable[[_Compiler, Any], None]

_STATEMENTS: dict[type, _Handler] = {
    Block: _Compiler.block,
    Let: _Compiler.let,
    Assign: _Compiler.assign,
    Evaluate: _Compiler.evaluate,
    Return: _Compiler.return_,
    Throw: _Compiler.throw,
    If: _Compiler.if_,
    While: _Compiler.while_,
    For: _Compiler.for_,
    ForIn: _Compiler.for_in,
    Define: _Compiler.define,
    Try: _Compiler.try_,
}
_EXPRESSIONS: dict[type, _Handler] = {
    Literal: _Compiler.literal,
    Name: _Compiler.name,
    ArrayLiteral: _Compiler.array,
    TupleLiteral: _Compiler.tuple_,
    ObjectLiteral: _Compiler.object_,
    Template: _Compiler.template,
    Case: _Compiler.case,
    Function: _Compiler.function,
    Unary: _Compiler.unary,
    Call: _Compiler.library_call,
}
_CONTINUATIONS: dict[type, _Handler] = {
    Access: _Compiler.access,
    Call: _Compiler.call,
    Binary: _Compiler.binary,
    ShortCircuit: _Compiler.short_circuit,
    NullTest: _Compiler.null_test,
    Between: _Compiler.between,
    Conditional: _Compiler.conditional,
}
