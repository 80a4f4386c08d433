"""Which name means which variable, and which variables outlive their function because a closure shares them."""

from __future__ import annotations

from dataclasses import dataclass, field

from assay.sandbox.hog.code import Capture, FunctionCode, Instruction, Op


@dataclass(slots=True)
class Variable:
    """A local variable. Whether it is shared is known only when its function is compiled to the end."""

    slot: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Captured:
    """A variable of a surrounding function, by its number among those that this function captures."""

    index: int


_SHARED_FORMS = {
    Op.LOAD_LOCAL: Op.LOAD_CELL,
    Op.STORE_LOCAL: Op.STORE_CELL,
    Op.DECLARE_CELL: Op.DECLARE_CELL,
}


@dataclass(slots=True)
class FunctionScope:
    """A function while it is compiled: its instructions so far and its nested scopes."""

    name: str
    parent: FunctionScope | None = None
    instructions: list[Instruction] = field(default_factory=list[Instruction])
    offsets: list[int] = field(default_factory=list[int])
    variables: list[Variable] = field(default_factory=list[Variable])
    blocks: list[dict[str, Variable]] = field(default_factory=lambda: [{}])
    captures: list[Capture] = field(default_factory=list[Capture])

    def declare(self, name: str) -> Variable | None:
        """A new variable in the innermost block; ``None`` when the block has one of that name."""
        if name in self.blocks[-1]:
            return None
        variable = self.blocks[-1][name] = self.hidden()
        return variable

    def hidden(self) -> Variable:
        """A variable that the program cannot name."""
        variable = Variable(len(self.variables))
        self.variables.append(variable)
        return variable

    def resolve(self, name: str) -> Variable | Captured | None:
        """The variable a name means here: of this function, or captured from a surrounding one."""
        for block in reversed(self.blocks):
            if name in block:
                return block[name]
        found = self.parent.resolve(name) if self.parent is not None else None
        if found is None:
            return None
        if isinstance(found, Variable):
            found.shared = True
            return self._capture(Capture(is_local=True, place=found.slot))
        return self._capture(Capture(is_local=False, place=found.index))

    def _capture(self, capture: Capture) -> Captured:
        if capture not in self.captures:
            self.captures.append(capture)
        return Captured(self.captures.index(capture))

    def emit(self, op: Op, argument: object = None, *, at: int) -> int:
        """Append an instruction; returns its index."""
        self.instructions.append(Instruction(op, argument))
        self.offsets.append(at)
        return len(self.instructions) - 1

    def land(self, *jumps: int) -> None:
        """Let earlier jumps lead to the next instruction."""
        target = len(self.instructions)
        for index in jumps:
            op, argument = self.instructions[index]
            self.instructions[index] = Instruction(op, (*argument, target) if isinstance(argument, tuple) else target)

    def finish(self, parameters: int) -> FunctionCode:
        """The finished function."""
        return FunctionCode(
            name=self.name,
            parameters=parameters,
            slots=len(self.variables),
            shared_parameters=tuple(index for index in range(parameters) if self.variables[index].shared),
            captures=tuple(self.captures),
            instructions=[_settle(instruction) for instruction in self.instructions],
            offsets=self.offsets,
        )


def _settle(instruction: Instruction) -> Instruction:
    op, variable = instruction
    if not isinstance(variable, Variable):
        return instruction
    if variable.shared:
        return Instruction(_SHARED_FORMS.get(op, op), variable.slot)
    return Instruction(Op.STORE_LOCAL if op is Op.DECLARE_CELL else op, variable.slot)
