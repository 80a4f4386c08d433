"""What the machine executes: functions as flat lists of instructions."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, auto
from typing import Any, NamedTuple

from assay.sandbox.hog.errors import locate


class Op(IntEnum):
    """Instructions. In brackets the argument; ``a b → c`` is the change of the operand stack."""

    CONSTANT = 0
    """[value]  → value"""
    LOAD_LOCAL = auto()
    """[slot]  → value"""
    STORE_LOCAL = auto()
    """[slot]  value →"""
    LOAD_CELL = auto()
    """[slot] As LOAD_LOCAL, for a variable that a closure shares."""
    STORE_CELL = auto()
    DECLARE_CELL = auto()
    """[slot]  value →  A new variable each time, so that closures made in a loop do not share one."""
    LOAD_CAPTURED = auto()
    """[index]  → value"""
    STORE_CAPTURED = auto()
    LOAD_GLOBAL = auto()
    """[keys]  → value  The first key names the global or library function, the others lead into it."""
    ACCESS = auto()
    """base key → value"""
    ACCESS_CONSTANT = auto()
    """[key]  base → value"""
    ASSIGN = auto()
    """base key value →"""
    BINARY = auto()
    """[function of budget and operands]  a b → c"""
    UNARY = auto()
    """[function of budget and operand]  a → b"""
    ARRAY = auto()
    """[count]  items → array"""
    TUPLE = auto()
    OBJECT = auto()
    """[count]  keys and values → object"""
    CONCAT = auto()
    """[count]  parts → text"""
    TRUTH = auto()
    """a → boolean"""
    JUMP = auto()
    """[target]"""
    JUMP_UNLESS = auto()
    """[target]  a →"""
    JUMP_IF_FALSE_KEEP = auto()
    """[target]  a → false when it jumps, a → nothing when not"""
    JUMP_IF_TRUE_KEEP = auto()
    JUMP_IF_SET_KEEP = auto()
    """[target]  a → a when it is not null and jumps, a → nothing when not"""
    POP = auto()
    ITERATE = auto()
    """[slot]  collection →  The slot then holds what is still to be visited."""
    NEXT = auto()
    """[(slot, with_key, target)]  → (key) value, or a jump when nothing is left"""
    CLOSURE = auto()
    """[code]  → function"""
    CALL = auto()
    """[count]  function arguments → value"""
    CALL_LIBRARY = auto()
    """[(name, count)]  arguments → value"""
    RETURN = auto()
    THROW = auto()
    TRY = auto()
    """[target] From here on, an error of this function goes there, on the stack as it was."""
    END_TRY = auto()
    CATCH = auto()
    """[(type, target)]  error → error, or a jump when its type is another"""
    RESUME = auto()
    """Give the top of the stack to the library function that asked for it."""


class Instruction(NamedTuple):
    """One step."""

    op: Op
    argument: Any = None


class Capture(NamedTuple):
    """Where a new closure finds a variable that it shares."""

    is_local: bool
    """In a slot of the function that makes the closure; else among that function's own captured variables."""
    place: int


@dataclass(frozen=True, slots=True)
class FunctionCode:
    """A compiled function; the program itself is one too."""

    name: str
    parameters: int
    slots: int
    """Number of local variables, the parameters first."""
    shared_parameters: tuple[int, ...]
    """Slots of parameters that closures share."""
    captures: tuple[Capture, ...]
    instructions: list[Instruction] = field(repr=False)
    offsets: list[int] = field(repr=False)
    """For each instruction the character of the source it stems from."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program ready to run, any number of times."""

    source: str
    main: FunctionCode = field(repr=False)

    def line_of(self, offset: int) -> int:
        """Line of the source, from 1, of a character."""
        return locate(self.source, offset)[0]
