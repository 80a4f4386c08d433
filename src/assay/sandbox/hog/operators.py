"""What the operators compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.compare import coerced_equal, coerced_order, contains
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.limits import MAX_INTEGER_BITS
from assay.sandbox.hog.patterns import like, search
from assay.sandbox.hog.values import Value, is_truthy, type_name

_Number = int | float


def add(budget: Budget, left: Value, right: Value) -> Value:
    """``+``: numbers add, two strings, arrays or tuples are joined."""
    match left, right:
        case int() | float(), int() | float():
            return _result(budget, left + right)
        case str(), str():
            budget.charge_text(len(left) + len(right))
            return left + right
        case (list(), list()) | (tuple(), tuple()):
            first, second = cast("list[Any]", left), cast("list[Any]", right)
            budget.charge_items(len(first) + len(second))
            return first + second
        case _:
            raise _refused("+", left, right, advice="; use `||` for text")


def subtract(budget: Budget, left: Value, right: Value) -> Value:
    """``-``."""
    if isinstance(left, _Number) and isinstance(right, _Number):
        return _result(budget, left - right)
    raise _refused("-", left, right)


def multiply(budget: Budget, left: Value, right: Value) -> Value:
    """``*``."""
    if not isinstance(left, _Number) or not isinstance(right, _Number):
        raise _refused("*", left, right)
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_INTEGER_BITS:
            raise HogFailure(f"Integer too large: more than {MAX_INTEGER_BITS} bits")
        return left * right
    return _result(budget, left * right)


def divide(budget: Budget, left: Value, right: Value) -> Value:
    """``/``: always a float."""
    if not isinstance(left, _Number) or not isinstance(right, _Number):
        raise _refused("/", left, right)
    if right == 0:
        raise HogFailure("Division by zero")
    return _result(budget, left / right)


def modulo(budget: Budget, left: Value, right: Value) -> Value:
    """``%``: the sign follows the divisor."""
    if not isinstance(left, _Number) or not isinstance(right, _Number):
        raise _refused("%", left, right)
    if right == 0:
        raise HogFailure("Modulo by zero")
    return _result(budget, left % right)


def negate(budget: Budget, operand: Value) -> Value:
    """Unary ``-``."""
    if isinstance(operand, _Number):
        return -operand
    raise HogFailure(f"Cannot negate a value of type {type_name(operand)}")


def _result(budget: Budget, value: int | float) -> int | float:
    return budget.integer(value) if isinstance(value, int) else value


def _refused(operator: str, left: Value, right: Value, *, advice: str = "") -> HogFailure:
    types = f"{type_name(left)} and {type_name(right)}"
    return HogFailure(f"Operator `{operator}` does not apply to {types}{advice}")


def _ordering(holds: Callable[[int], bool]) -> Callable[[Budget, Value, Value], bool]:
    def compare(budget: Budget, left: Value, right: Value) -> bool:
        found = coerced_order(budget, left, right)
        return found is not None and holds(found)

    return compare


def _matching(*, ignore_case: bool, negated: bool = False) -> Callable[[Budget, Value, Value], bool]:
    def match(budget: Budget, left: Value, right: Value) -> bool:
        # Null and empty operands match nothing, in the negated forms too (contract §5.4).
        if left is None or right is None or left == "" or right == "":
            return False
        return (search(budget, left, right, ignore_case=ignore_case) is not None) != negated

    return match


def _negated(test: Callable[[Budget, Value, Value], bool]) -> Callable[[Budget, Value, Value], bool]:
    return lambda budget, left, right: not test(budget, left, right)


def _like(budget: Budget, left: Value, right: Value) -> bool:
    return like(budget, left, right, ignore_case=False)


def _ilike(budget: Budget, left: Value, right: Value) -> bool:
    return like(budget, left, right, ignore_case=True)


def _in(budget: Budget, item: Value, collection: Value) -> bool:
    return contains(budget, collection, item)


BINARY: dict[str, Callable[[Budget, Any, Any], Any]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "==": coerced_equal,
    "!=": _negated(coerced_equal),
    "<": _ordering(lambda found: found < 0),
    "<=": _ordering(lambda found: found <= 0),
    ">": _ordering(lambda found: found > 0),
    ">=": _ordering(lambda found: found >= 0),
    "in": _in,
    "not in": _negated(_in),
    "like": _like,
    "not like": _negated(_like),
    "ilike": _ilike,
    "not ilike": _negated(_ilike),
    "=~": _matching(ignore_case=False),
    "!~": _matching(ignore_case=False, negated=True),
    "=~*": _matching(ignore_case=True),
    "!~*": _matching(ignore_case=True, negated=True),
}

UNARY: dict[str, Callable[[Budget, Any], Any]] = {
    "-": negate,
    "not": lambda budget, operand: not is_truthy(operand),
    "is null": lambda budget, operand: operand is None,
    "is not null": lambda budget, operand: operand is not None,
}
