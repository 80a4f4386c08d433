"""The tree of a program.

Every node knows the offset of its first telling character. Nodes that begin with an operand (`LeftFirst`) can form
chains as long as the source (``a || b || c …``), deeper than Python's stack; whoever walks the tree must take such a
chain in a loop. All other nesting is bounded by `limits.MAX_NESTING`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Node:
    """Anything with a place in the source."""

    at: int


# Expressions


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable, a global or a library function."""

    name: str


@dataclass(frozen=True, slots=True)
class ArrayLiteral(Node):
    """``[a, b]``."""

    items: Sequence[Expression]


@dataclass(frozen=True, slots=True)
class TupleLiteral(Node):
    """``(a, b)``."""

    items: Sequence[Expression]


@dataclass(frozen=True, slots=True)
class ObjectLiteral(Node):
    """``{key: value}``."""

    entries: Sequence[tuple[Expression, Expression]]


@dataclass(frozen=True, slots=True)
class Template(Node):
    """``f'text {expression}'``."""

    parts: Sequence[Expression]


@dataclass(frozen=True, slots=True)
class Case(Node):
    """``case subject when … then … else … end``."""

    subject: Expression | None
    branches: Sequence[tuple[Expression, Expression]]
    otherwise: Expression | None


@dataclass(frozen=True, slots=True)
class Function(Node):
    """A function or a lambda; a lambda of one expression returns it."""

    name: str
    parameters: Sequence[str]
    body: Block | Expression


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``-a`` or ``not a``."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class LeftFirst(Node):
    """A node whose evaluation starts with its left operand."""

    left: Expression


@dataclass(frozen=True, slots=True)
class Access(LeftFirst):
    """``left.name``, ``left[key]`` and their null-safe forms, which mean the same: access to null gives null."""

    key: Expression
    dotted: bool


@dataclass(frozen=True, slots=True)
class Call(LeftFirst):
    """``left(arguments)``."""

    arguments: Sequence[Expression]


@dataclass(frozen=True, slots=True)
class Binary(LeftFirst):
    """An operator between two values, both always evaluated."""

    operator: str
    right: Expression
    spaced: bool = True
    """Whether white space stands on either side of the operator."""


@dataclass(frozen=True, slots=True)
class ShortCircuit(LeftFirst):
    """``and``, ``or`` and ``??``."""

    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class NullTest(LeftFirst):
    """``left is null`` or ``left is not null``."""

    negated: bool


@dataclass(frozen=True, slots=True)
class Between(LeftFirst):
    """``left between low and high``."""

    low: Expression
    high: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class Conditional(LeftFirst):
    """``left ? then : otherwise``."""

    then: Expression
    otherwise: Expression


Expression: TypeAlias = (
    Literal
    | Name
    | ArrayLiteral
    | TupleLiteral
    | ObjectLiteral
    | Template
    | Case
    | Function
    | Unary
    | Access
    | Call
    | Binary
    | ShortCircuit
    | NullTest
    | Between
    | Conditional
)


# Statements


@dataclass(frozen=True, slots=True)
class Let(Node):
    """``let name := value``."""

    name: str
    value: Expression | None


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """``target := value``."""

    target: Name | Access
    value: Expression


@dataclass(frozen=True, slots=True)
class Evaluate(Node):
    """An expression for its effects."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Return(Node):
    """``return value``."""

    value: Expression | None


@dataclass(frozen=True, slots=True)
class Throw(Node):
    """``throw value``."""

    value: Expression


@dataclass(frozen=True, slots=True)
class If(Node):
    """``if … else if … else …`` as one flat list, since such chains grow long."""

    branches: Sequence[tuple[Expression, Statement]]
    otherwise: Statement | None


@dataclass(frozen=True, slots=True)
class While(Node):
    """``while (condition) body``."""

    condition: Expression
    body: Statement


@dataclass(frozen=True, slots=True)
class For(Node):
    """``for (first; condition; step) body``."""

    first: Statement | None
    condition: Expression
    step: Statement | None
    body: Statement


@dataclass(frozen=True, slots=True)
class ForIn(Node):
    """``for (let key, value in collection) body``."""

    key: str | None
    value: str
    collection: Expression
    body: Statement


@dataclass(frozen=True, slots=True)
class Define(Node):
    """``fn name(…) {…}``."""

    function: Function


@dataclass(frozen=True, slots=True)
class CatchClause(Node):
    """``catch (name: type) body``."""

    name: str
    type: str | None
    body: Block


@dataclass(frozen=True, slots=True)
class Try(Node):
    """``try … catch …``."""

    body: Block
    catches: Sequence[CatchClause]


@dataclass(frozen=True, slots=True)
class Block(Node):
    """Statements with a scope of their own."""

    statements: Sequence[Statement]


Statement: TypeAlias = Let | Assign | Evaluate | Return | Throw | If | While | For | ForIn | Define | Try | Block
