"""How a simulated model calls tools: it does what the last user turn says, line by line.

    call lookup {"city": "Pune"}     a call of ``lookup``
    call a {}, then call b {}        one after the other, each in a turn of its own
    call a {} and call b {}          both in one turn

Once every call has its result, the answer lists the results. A call of a tool that was not offered is not made; the
answer says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
import regex

from assay.gateway.types import Message, ModelRequest, ToolCall

_DIRECTIVE = regex.compile(r"(?P<joined>\band\s+)?\bcall\s+(?P<name>[A-Za-z0-9_-]+)\s*(?P<arguments>\{[^{}]*\})?")


@dataclass(frozen=True, slots=True)
class ToolTurn:
    """What the model does next: calls, or an answer."""

    calls: tuple[ToolCall, ...] = ()
    text: str = ""


def next_tool_turn(request: ModelRequest, prompt: str) -> ToolTurn | None:
    """The next turn of a prompt that asks for calls; None for any other prompt."""
    turns = _planned(prompt)
    if not turns:
        return None
    messages = _since_last_user(request.messages)
    results = [message for message in messages if message.tool_call_id is not None]
    done = sum(1 for message in messages if message.tool_calls)
    offered = {str(tool.get("name") or tool.get("function", {}).get("name")) for tool in request.generation.tools}
    missing = [name for turn in turns for name, _ in turn if name not in offered]
    if missing:
        return ToolTurn(text=f"There is no tool {missing[0]!r}.")
    if done < len(turns):
        return ToolTurn(tuple(_call(request, done, number, *call) for number, call in enumerate(turns[done])))
    return ToolTurn(text="; ".join(str(result.content) for result in results))


def _planned(prompt: str) -> list[list[tuple[str, str]]]:
    turns: list[list[tuple[str, str]]] = []
    for found in _DIRECTIVE.finditer(prompt):
        call = (found["name"], found["arguments"] or "{}")
        if found["joined"] and turns:
            turns[-1].append(call)
        else:
            turns.append([call])
    return turns


def _since_last_user(messages: Sequence[Message]) -> Sequence[Message]:
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
    return messages[last + 1 :]


def _call(request: ModelRequest, turn: int, number: int, name: str, arguments: str) -> ToolCall:
    # The same conversation must give the same ids, or a repeated turn would look like another one.
    seed = orjson.dumps([request.repeat, len(request.messages), turn, number, name, arguments])
    return ToolCall(f"call_sim_{hashlib.sha256(seed).hexdigest()[:24]}", name, arguments)
