"""The machine: a loop over instructions, with stacks of its own.

Calls of the program push a frame and nothing else, so a program that recurses a thousand deep does not recurse
in Python. That holds through library functions too: `arrayMap` and its like are generators that hand their calls to
the machine and are resumed with the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from assay.sandbox.hog.access import copy_global, object_key, read, write
from assay.sandbox.hog.budget import Budget
from assay.sandbox.hog.code import FunctionCode, Instruction, Op, Program
from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.library import LIBRARY
from assay.sandbox.hog.limits import MAX_ARGUMENTS, MAX_CALL_DEPTH, HogLimits
from assay.sandbox.hog.text import joined_text, quoted_text, texts
from assay.sandbox.hog.values import (
    CallRequest,
    Cell,
    Closure,
    HogError,
    Iteration,
    LibraryFunction,
    Value,
    is_truthy,
    type_name,
)


class Frame:
    """One call in progress."""

    __slots__ = ("base", "cells", "code", "generator", "handlers", "instructions", "locals", "next")

    def __init__(self, code: FunctionCode, cells: tuple[Cell, ...], base: int) -> None:
        self.code = code
        self.instructions: list[Instruction] = code.instructions
        self.cells = cells
        self.locals: list[Any] = []
        self.next = 0
        self.base = base
        """Height of the operand stack when the call began."""
        self.handlers: list[tuple[int, int]] = []
        """Where errors go, innermost last: instruction and height of the stack."""
        self.generator: Any = None
        """A library function that waits for the answer of a call."""


_RESUME = FunctionCode("library", 0, 0, (), (), [Instruction(Op.RESUME)], [0])


class Machine:
    """One run of one program.

    Args:
        program: What to run.
        variables: The globals, JSON values by name.
        limits: What the run may use up.
        now: The clock of ``now()``.
    """

    def __init__(
        self, program: Program, variables: Mapping[str, Any], limits: HogLimits, now: Callable[[], datetime] | None
    ) -> None:
        self.globals = variables
        self.stack: list[Any] = []
        self.frames: list[Frame] = []
        self.budget = Budget(limits, self._roots, now)
        self.result: Value = None
        self._program = program

    def run(self) -> Value:
        """Run to the end.

        Raises:
            HogFailure: The program fails.
        """
        self._enter(Closure(self._program.main, ()), [])
        step = self.budget.step
        frames = self.frames
        while frames:
            frame = frames[-1]
            op, argument = frame.instructions[frame.next]
            frame.next += 1
            step()
            HANDLERS[op](self, frame, argument)
        return self.result

    def present_line(self) -> int | None:
        """Line of the instruction that runs or ran last."""
        for frame in reversed(self.frames):
            if frame.generator is None:
                return self._program.line_of(frame.code.offsets[max(0, frame.next - 1)])
        return None

    def close(self) -> None:
        """Forget everything, so that waiting library functions end here and not in the garbage collector."""
        for frame in self.frames:
            if frame.generator is not None:
                frame.generator.close()
        self.frames.clear()

    def _roots(self) -> Iterator[Any]:
        yield from self.stack
        for frame in self.frames:
            yield from (value.value if isinstance(value, Cell) else value for value in frame.locals)
            yield from (cell.value for cell in frame.cells)
            if frame.generator is not None and frame.generator.gi_frame is not None:
                yield from frame.generator.gi_frame.f_locals.values()

    # Calls

    def call(self, function: Value, arguments: list[Any]) -> None:
        """Call a function; its value is on the stack when it has returned, now or later."""
        self.budget.look_at_clock()
        if len(arguments) > MAX_ARGUMENTS:
            raise HogFailure(f"Too many arguments: {len(arguments)}, at most {MAX_ARGUMENTS}")
        if isinstance(function, LibraryFunction):
            self._call_library(function, arguments)
        elif isinstance(function, Closure):
            self._enter(function, arguments)
        else:
            raise HogFailure(f"Cannot call a value of type {type_name(function)}")

    def _enter(self, closure: Closure, arguments: list[Any]) -> None:
        code = closure.code
        if len(arguments) > code.parameters:
            count = f"{len(arguments)}, it takes {code.parameters}"
            raise HogFailure(f"Too many arguments for function `{code.name}`: {count}")
        frame = self._push_frame(code, closure.cells)
        frame.locals = arguments + [None] * (code.slots - len(arguments))
        for slot in code.shared_parameters:
            frame.locals[slot] = Cell(frame.locals[slot])

    def _push_frame(self, code: FunctionCode, cells: tuple[Cell, ...]) -> Frame:
        if len(self.frames) == MAX_CALL_DEPTH:
            raise HogFailure(f"Maximum call depth exceeded: {MAX_CALL_DEPTH}")
        frame = Frame(code, cells, len(self.stack))
        self.frames.append(frame)
        return frame

    def _call_library(self, function: LibraryFunction, arguments: list[Any]) -> None:
        check_count(function, len(arguments))
        try:
            value = function.call(self.budget, *arguments)
        except HogFailure:
            raise
        except (ArithmeticError, ValueError, RecursionError) as exc:
            # The checks of a function name what they expect; this is for what they do not foresee.
            raise HogFailure(f"Function `{function.name}` failed: {exc}") from exc
        if function.resumable:
            self._push_frame(_RESUME, ()).generator = value
            value = None
        self.stack.append(value)

    def resume(self, frame: Frame) -> None:
        """Give the answer of its call to the library function of the frame, and serve its next."""
        answer = self.stack.pop()
        try:
            request: CallRequest = frame.generator.send(answer)
        except StopIteration as done:
            self.frames.pop()
            self.stack.append(done.value)
            return
        frame.next = 0
        self.call(request.function, request.arguments)

    def leave(self, value: Value) -> None:
        """Return from the innermost call."""
        frame = self.frames.pop()
        del self.stack[frame.base :]
        if self.frames:
            self.stack.append(value)
        else:
            self.result = value

    def throw(self, error: Value) -> None:
        """Continue where an error is caught.

        Raises:
            HogFailure: Nobody catches it, or it is no error.
        """
        if not isinstance(error, HogError):
            raise HogFailure(f"Can only throw errors, not a value of type {type_name(error)}")
        for depth in range(len(self.frames) - 1, -1, -1):
            if self.frames[depth].handlers:
                break
        else:
            raise HogFailure(quoted_text(self.budget, error))
        for frame in self.frames[depth + 1 :]:
            if frame.generator is not None:
                frame.generator.close()
        del self.frames[depth + 1 :]
        target, height = self.frames[depth].handlers.pop()
        del self.stack[height:]
        self.stack.append(error)
        self.frames[depth].next = target

    def load_global(self, path: tuple[Any, ...]) -> Value:
        """Read along a path into the globals; a name that is no global may be a library function."""
        name = path[0]
        if name not in self.globals:
            function = LIBRARY.get(name)
            if function is None:
                raise HogFailure(f"Global variable not found: {name}")
            return function
        value = self.globals[name]
        for key in path[1:]:
            value = read(value, key)
        return copy_global(self.budget, value)


def check_count(function: LibraryFunction, count: int) -> None:
    """Compare the number of arguments with what a library function takes.

    Raises:
        HogFailure: Too few or too many.
    """
    if count < function.min_arguments:
        raise HogFailure(
            f"Too few arguments for function `{function.name}`: {count}, at least {function.min_arguments}"
        )
    if count > function.max_arguments:
        raise HogFailure(
            f"Too many arguments for function `{function.name}`: {count}, at most {function.max_arguments}"
        )


# Instructions. Each takes the machine, the innermost frame and its argument; see `Op` for what they do.


def _constant(machine: Machine, frame: Frame, value: Any) -> None:
    machine.stack.append(value)


def _load_local(machine: Machine, frame: Frame, slot: int) -> None:
    machine.stack.append(frame.locals[slot])


def _store_local(machine: Machine, frame: Frame, slot: int) -> None:
    frame.locals[slot] = machine.stack.pop()


def _load_cell(machine: Machine, frame: Frame, slot: int) -> None:
    machine.stack.append(frame.locals[slot].value)


def _store_cell(machine: Machine, frame: Frame, slot: int) -> None:
    frame.locals[slot].value = machine.stack.pop()


def _declare_cell(machine: Machine, frame: Frame, slot: int) -> None:
    frame.locals[slot] = Cell(machine.stack.pop())


def _load_captured(machine: Machine, frame: Frame, index: int) -> None:
    machine.stack.append(frame.cells[index].value)


def _store_captured(machine: Machine, frame: Frame, index: int) -> None:
    frame.cells[index].value = machine.stack.pop()


def _load_global(machine: Machine, frame: Frame, path: tuple[Any, ...]) -> None:
    machine.stack.append(machine.load_global(path))


def _access(machine: Machine, frame: Frame, argument: None) -> None:
    key = machine.stack.pop()
    machine.stack[-1] = read(machine.stack[-1], key)


def _access_constant(machine: Machine, frame: Frame, key: Any) -> None:
    machine.stack[-1] = read(machine.stack[-1], key)


def _assign(machine: Machine, frame: Frame, argument: None) -> None:
    value, key, base = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    write(machine.budget, base, key, value)


def _binary(machine: Machine, frame: Frame, operator: Callable[[Budget, Any, Any], Any]) -> None:
    right = machine.stack.pop()
    try:
        machine.stack[-1] = operator(machine.budget, machine.stack[-1], right)
    except ArithmeticError as exc:
        raise HogFailure(f"Arithmetic failed: {exc}") from exc


def _unary(machine: Machine, frame: Frame, operator: Callable[[Budget, Any], Any]) -> None:
    machine.stack[-1] = operator(machine.budget, machine.stack[-1])


def _take(machine: Machine, count: int) -> list[Any]:
    if count == 0:
        return []
    items = machine.stack[-count:]
    del machine.stack[-count:]
    return items


def _array(machine: Machine, frame: Frame, count: int) -> None:
    machine.budget.charge_items(count)
    machine.stack.append(_take(machine, count))


def _tuple(machine: Machine, frame: Frame, count: int) -> None:
    machine.budget.charge_items(count)
    machine.stack.append(tuple(_take(machine, count)))


def _object(machine: Machine, frame: Frame, count: int) -> None:
    machine.budget.charge_items(2 * count)
    items = _take(machine, 2 * count)
    machine.stack.append({object_key(items[index]): items[index + 1] for index in range(0, 2 * count, 2)})


def _concat(machine: Machine, frame: Frame, count: int) -> None:
    parts = texts(machine.budget, machine.stack[len(machine.stack) - count :], joined_text)
    machine.budget.charge_text(sum(map(len, parts)))
    _take(machine, count)
    machine.stack.append("".join(parts))


def _truth(machine: Machine, frame: Frame, argument: None) -> None:
    machine.stack[-1] = is_truthy(machine.stack[-1])


def _jump(machine: Machine, frame: Frame, target: int) -> None:
    frame.next = target


def _jump_unless(machine: Machine, frame: Frame, target: int) -> None:
    if not is_truthy(machine.stack.pop()):
        frame.next = target


def _jump_if_false_keep(machine: Machine, frame: Frame, target: int) -> None:
    if not is_truthy(machine.stack.pop()):
        machine.stack.append(False)
        frame.next = target


def _jump_if_true_keep(machine: Machine, frame: Frame, target: int) -> None:
    if is_truthy(machine.stack.pop()):
        machine.stack.append(True)
        frame.next = target


def _jump_if_set_keep(machine: Machine, frame: Frame, target: int) -> None:
    if machine.stack[-1] is None:
        machine.stack.pop()
    else:
        frame.next = target


def _pop(machine: Machine, frame: Frame, argument: None) -> None:
    machine.stack.pop()


def _iterate(machine: Machine, frame: Frame, slot: int) -> None:
    collection = machine.stack.pop()
    pairs: list[tuple[Any, Any]] = []
    if isinstance(collection, list | tuple | dict):
        items = cast("list[Any]", collection)
        machine.budget.charge_items(2 * len(items))
        # A copy: the body may change the collection.
        entries = cast("dict[Any, Any]", collection)
        pairs = list(entries.items() if isinstance(collection, dict) else enumerate(items))
    frame.locals[slot] = Iteration(pairs)


def _next(machine: Machine, frame: Frame, argument: tuple[int, bool, int]) -> None:
    slot, with_key, target = argument
    iteration: Iteration = frame.locals[slot]
    if iteration.position == len(iteration.pairs):
        frame.locals[slot] = None
        frame.next = target
        return
    pair = iteration.pairs[iteration.position]
    iteration.position += 1
    if with_key:
        machine.stack.append(pair[0])
    machine.stack.append(pair[1])


def _closure(machine: Machine, frame: Frame, code: FunctionCode) -> None:
    machine.budget.charge_items(len(code.captures))
    cells = tuple(frame.locals[index] if is_local else frame.cells[index] for is_local, index in code.captures)
    machine.stack.append(Closure(code, cells))


def _call(machine: Machine, frame: Frame, count: int) -> None:
    arguments = _take(machine, count)
    machine.call(machine.stack.pop(), arguments)


def _call_library(machine: Machine, frame: Frame, argument: tuple[str, int]) -> None:
    name, count = argument
    function = LIBRARY.get(name)
    if function is None:
        raise HogFailure(f"Unsupported function call: {name}")
    machine.call(function, _take(machine, count))


def _return(machine: Machine, frame: Frame, argument: None) -> None:
    machine.leave(machine.stack.pop())


def _throw(machine: Machine, frame: Frame, argument: None) -> None:
    machine.throw(machine.stack.pop())


def _try(machine: Machine, frame: Frame, target: int) -> None:
    frame.handlers.append((target, len(machine.stack)))


def _end_try(machine: Machine, frame: Frame, argument: None) -> None:
    frame.handlers.pop()


def _catch(machine: Machine, frame: Frame, argument: tuple[str | None, int]) -> None:
    wanted, target = argument
    if wanted is not None and machine.stack[-1].type != wanted:
        frame.next = target


def _resume(machine: Machine, frame: Frame, argument: None) -> None:
    machine.resume(frame)


_BY_OP: dict[Op, Callable[[Machine, Frame, Any], None]] = {
    Op.CONSTANT: _constant,
    Op.LOAD_LOCAL: _load_local,
    Op.STORE_LOCAL: _store_local,
    Op.LOAD_CELL: _load_cell,
    Op.STORE_CELL: _store_cell,
    Op.DECLARE_CELL: _declare_cell,
    Op.LOAD_CAPTURED: _load_captured,
    Op.STORE_CAPTURED: _store_captured,
    Op.LOAD_GLOBAL: _load_global,
    Op.ACCESS: _access,
    Op.ACCESS_CONSTANT: _access_constant,
    Op.ASSIGN: _assign,
    Op.BINARY: _binary,
    Op.UNARY: _unary,
    Op.ARRAY: _array,
    Op.TUPLE: _tuple,
    Op.OBJECT: _object,
    Op.CONCAT: _concat,
    Op.TRUTH: _truth,
    Op.JUMP: _jump,
    Op.JUMP_UNLESS: _jump_unless,
    Op.JUMP_IF_FALSE_KEEP: _jump_if_false_keep,
    Op.JUMP_IF_TRUE_KEEP: _jump_if_true_keep,
    Op.JUMP_IF_SET_KEEP: _jump_if_set_keep,
    Op.POP: _pop,
    Op.ITERATE: _iterate,
    Op.NEXT: _next,
    Op.CLOSURE: _closure,
    Op.CALL: _call,
    Op.CALL_LIBRARY: _call_library,
    Op.RETURN: _return,
    Op.THROW: _throw,
    Op.TRY: _try,
    Op.END_TRY: _end_try,
    Op.CATCH: _catch,
    Op.RESUME: _resume,
}
HANDLERS = [_BY_OP[op] for op in Op]
