"""Reading a program without running it.

`check_program` parses the source and looks at three things: whether the entry point is there and takes the right
arguments, whether something is used that the sandbox is known to lack, and how far cases must be kept apart
(`Isolation`). What only the sandbox can tell (a missing module, say) is found by `Sandbox.check`.
"""

from __future__ import annotations

import ast
import warnings

from assay.sandbox.contract import EntryPoint, Isolation, Program, SandboxCodeError

MAX_SOURCE_BYTES = 256 * 1024

_ARGUMENTS = {
    EntryPoint.GRADE: ("sample", "item"),
    EntryPoint.GRADE_BATCH: ("samples",),
    EntryPoint.TRANSFORM: ("row",),
    EntryPoint.TRANSFORM_BATCH: ("rows",),
    EntryPoint.RUN: ("arguments",),
    EntryPoint.ANSWER: ("given",),
}
_WITH_CTX = frozenset({EntryPoint.GRADE, EntryPoint.GRADE_BATCH, EntryPoint.ANSWER})

# Modules whose functions are pure, or whose state the driver sets anew for each case (`random`).
_STATELESS_MODULES = frozenset(
    [
        "base64",
        "binascii",
        "bisect",
        "collections",
        "copy",
        "dataclasses",
        "datetime",
        "functools",
        "hashlib",
        "itertools",
        "json",
        "math",
        "random",
        "re",
        "time",
        "typing",
        "unicodedata",
    ]
)
_IMMUTABLE_CALLS = frozenset({"re.compile", "frozenset", "float", "int", "str"})


def check_program(source: str, *, entry_point: EntryPoint, function: str = "") -> Program:
    """Check that ``source`` can be what ``entry_point`` says. Executes nothing.

    Args:
        source: Python source, at most 256 KiB in UTF-8.
        entry_point: The contract of the function that will be called.
        function: Its name, if that is not the entry point's own.

    Raises:
        SandboxCodeError: With the line and column of the fault, counted from 1.
    """
    tree = _parse(source)
    _refuse_unsupported(tree)
    found = _find_entry(tree, entry_point, function or entry_point.value)
    takes_ctx = _check_arity(found, entry_point)
    return Program(source, entry_point, takes_ctx, _isolation(tree), function)


def is_module(text: str) -> bool:
    """Whether a text is Python that defines a function or a class at its top level. Executes nothing."""
    try:
        tree = _parse(text)
    except SandboxCodeError:
        return False
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree.body)


def _parse(source: str) -> ast.Module:
    try:
        size = len(source.encode())
    except UnicodeEncodeError as exc:
        raise SandboxCodeError("the source holds a lone surrogate; save it as valid UTF-8") from exc
    if size > MAX_SOURCE_BYTES:
        raise SandboxCodeError(f"the source is {size} bytes long; the limit is {MAX_SOURCE_BYTES}")
    try:
        with warnings.catch_warnings():
            # Doubtful escapes warn; user code must not write to our log.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except SyntaxError as exc:
        raise SandboxCodeError(f"syntax error: {exc.msg}", line=exc.lineno, column=exc.offset) from exc
    except (RecursionError, MemoryError) as exc:
        raise SandboxCodeError("the source is nested too deeply to be parsed") from exc
    except ValueError as exc:
        raise SandboxCodeError(f"the source cannot be parsed: {exc}") from exc


def _refuse_unsupported(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield | ast.YieldFrom):
            _refuse(node, "the sandbox has no generator functions (`yield`); build and return a list")
        if isinstance(node, ast.ClassDef) and (node.bases or node.keywords):
            _refuse(
                node,
                f"class `{node.name}`: the sandbox has no class inheritance; use a plain class or built-in exceptions",
            )
        if isinstance(node, ast.Delete):
            _refuse(node, "the sandbox has no `del`; use `pop`, or build a new value")


def _refuse(node: ast.stmt | ast.expr, message: str) -> None:
    raise SandboxCodeError(message, line=node.lineno, column=node.col_offset + 1)


def _find_entry(tree: ast.Module, entry_point: EntryPoint, name: str) -> ast.FunctionDef:
    wanted = f"{name}({', '.join(_ARGUMENTS[entry_point])})"
    for statement in reversed(tree.body):
        if isinstance(statement, ast.AsyncFunctionDef) and statement.name == name:
            _refuse(statement, f"`{name}` must be a plain `def`; model calls through `ctx` need no `await`")
        if isinstance(statement, ast.FunctionDef) and statement.name == name:
            return statement
    raise SandboxCodeError(f"the program must define `def {wanted}` at its top level")


def _check_arity(function: ast.FunctionDef, entry_point: EntryPoint) -> bool:
    """Whether ``ctx`` is to be passed.

    A parameter after the fixed ones counts as ``ctx`` when it must be given or bears the name; a defaulted parameter of
    another name is the user's own.
    """
    expected = _ARGUMENTS[entry_point]
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    required = len(positional) - len(given.defaults)
    keyword_only = [
        arg.arg for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None
    ]
    extra = positional[len(expected) :]
    takes_ctx = bool(extra) and entry_point in _WITH_CTX and (required > len(expected) or extra[0].arg == "ctx")
    too_few = len(positional) < len(expected) and given.vararg is None
    if too_few or required > len(expected) + takes_ctx or keyword_only:
        forms = f"`{function.name}({', '.join(expected)})`"
        if entry_point in _WITH_CTX:
            forms += f" or `{function.name}({', '.join((*expected, 'ctx'))})`"
        _refuse(function, f"`{function.name}` takes the wrong arguments; define {forms}")
    return takes_ctx


def _isolation(tree: ast.Module) -> Isolation:
    if any(_reaches_library_state(node) for node in ast.walk(tree)):
        return Isolation.SESSION
    has_global = any(isinstance(node, ast.Global) for node in ast.walk(tree))
    if has_global or not all(_keeps_no_state(statement) for statement in tree.body):
        return Isolation.RELOADED
    return Isolation.SHARED


def _reaches_library_state(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] not in _STATELESS_MODULES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] not in _STATELESS_MODULES
    return isinstance(node, ast.Name) and node.id in {"exec", "eval", "__import__"}


def _keeps_no_state(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.FunctionDef):
        defaults = [*statement.args.defaults, *(d for d in statement.args.kw_defaults if d is not None)]
        return not statement.decorator_list and all(_is_immutable(default) for default in defaults)
    if isinstance(statement, ast.Assign):
        return _is_immutable(statement.value)
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None or _is_immutable(statement.value)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.Pass)


def _is_immutable(expression: ast.expr) -> bool:
    if isinstance(expression, ast.Constant):
        return True
    if isinstance(expression, ast.UnaryOp):
        return _is_immutable(expression.operand)
    if isinstance(expression, ast.Tuple):
        return all(_is_immutable(element) for element in expression.elts)
    if isinstance(expression, ast.Call):
        return ast.unparse(expression.func) in _IMMUTABLE_CALLS
    return False
