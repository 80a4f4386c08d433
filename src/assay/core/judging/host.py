"""Reading what user code in the sandbox sends to ``ctx.responses_create``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from assay.gateway.types import Message
from assay.sandbox.contract import HostFunctionError


def read_messages(prompt: object) -> tuple[Message, ...]:
    """The turns of an ``input``: a text, or a list of ``{"role", "content"}``.

    Raises:
        HostFunctionError: It is neither; the message is for the author of the code.
    """
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    if not isinstance(prompt, list) or not prompt:
        raise HostFunctionError("responses_create needs `input`: a text, or a list of {'role', 'content'}.")
    return tuple(_message(part) for part in cast("list[object]", prompt))


def _message(part: object) -> Message:
    turn: Mapping[str, object] = cast("Mapping[str, object]", part) if isinstance(part, dict) else {}
    role, content = turn.get("role"), turn.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        raise HostFunctionError("Each message of `input` needs a `role` and a text as `content`.")
    return Message(role, content)
