"""Secrets inside tools: what an MCP server is sent to be let in.

Tools are kept and given back as they were sent, but for ``authorization`` and the values of ``headers`` of ``mcp``
tools. These are encrypted before they are stored, shown as ``***``, and opened only by whoever carries a run out. A
client that reads an agent, changes it and sends it back keeps its secrets: ``***`` stands for the stored value.

    sent:    {"type": "mcp", "server_label": "crm", "authorization": "s3cret"}
    stored:  {"type": "mcp", "server_label": "crm", "authorization": {"sealed": "gAAAA…"}}
    shown:   {"type": "mcp", "server_label": "crm", "authorization": "***"}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from assay.core.agents.errors import AgentInputError, ToolSecretStorageError
from assay.core.agents.types import AgentConfiguration
from assay.kit.secrets import SecretBox

SHOWN = "***"
_SEALED = "sealed"
_Change = Callable[[Any, str], Any]


class ToolSealer:
    """Encrypts and opens the secrets of tools.

    Args:
        box: None when there is no key; then tools without secrets can still be kept.
    """

    def __init__(self, box: SecretBox | None) -> None:
        self._box = box

    def seal(self, configuration: AgentConfiguration) -> AgentConfiguration:
        """The configuration as it may be stored.

        Raises:
            ToolSecretStorageError: A tool has a secret and there is no key to encrypt it with.
        """
        return replace(configuration, tools=[_changed(tool, self._seal) for tool in configuration.tools])

    def open(self, tool: Mapping[str, Any]) -> dict[str, Any]:
        """A stored tool as it was sent.

        Raises:
            SecretKeyError: It was encrypted with another key.
            ToolSecretStorageError: It has a secret and there is no key.
        """
        return _changed(tool, self._open)

    def _seal(self, value: Any, name: str) -> Any:
        if not isinstance(value, str):
            return value
        if self._box is None:
            raise ToolSecretStorageError(f"`{name}` of a tool cannot be kept: this server has no ASSAY_SECRET_KEY.")
        return {_SEALED: self._box.encrypt(value).decode()}

    def _open(self, value: Any, name: str) -> Any:
        if not _is_sealed(value):
            return value
        if self._box is None:
            raise ToolSecretStorageError(f"`{name}` of a tool cannot be opened: this server has no ASSAY_SECRET_KEY.")
        return self._box.decrypt(value[_SEALED].encode())


def show_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Stored tools as clients may see them."""
    return [_changed(tool, lambda value, name: SHOWN if _is_sealed(value) else value) for tool in tools]


def fill_secrets(configuration: AgentConfiguration, *, before: Sequence[Mapping[str, Any]]) -> AgentConfiguration:
    """The configuration that a client sent, with ``***`` replaced by what the same server's tool had before.

    Raises:
        AgentInputError: It had none, or a secret is not a text.
    """
    known = {_identity(tool): tool for tool in before}
    tools = [_filled(tool, known.get(_identity(tool), {}), index) for index, tool in enumerate(configuration.tools)]
    return replace(configuration, tools=tools)


def _filled(tool: Mapping[str, Any], before: Mapping[str, Any], index: int) -> dict[str, Any]:
    stored = dict(_secrets(before))

    def fill(value: Any, name: str) -> Any:
        if not isinstance(value, str):
            raise AgentInputError(f"`tools[{index}].{name}` must be a text.", param=f"tools[{index}].{name}")
        if value != SHOWN:
            return value
        if name not in stored:
            raise AgentInputError(
                f"`tools[{index}].{name}` is {SHOWN!r}, which stands for a secret that this tool has not had before.",
                param=f"tools[{index}].{name}",
            )
        return stored[name]

    return _changed(tool, fill)


def _changed(tool: Mapping[str, Any], change: _Change) -> dict[str, Any]:
    changed = dict(tool)
    if tool.get("type") != "mcp":
        return changed
    if tool.get("authorization") is not None:
        changed["authorization"] = change(tool["authorization"], "authorization")
    headers = tool.get("headers")
    if isinstance(headers, Mapping):
        pairs = cast("Mapping[str, Any]", headers)
        changed["headers"] = {name: change(value, f"headers.{name}") for name, value in pairs.items()}
    return changed


def _secrets(tool: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []

    def note(value: Any, name: str) -> Any:
        found.append((name, value))
        return value

    _changed(tool, note)
    yield from found


def _identity(tool: Mapping[str, Any]) -> tuple[str, str, str]:
    return (str(tool.get("type")), str(tool.get("server_label")), str(tool.get("mcp_server_id")))


def _is_sealed(value: Any) -> bool:
    return isinstance(value, Mapping) and _SEALED in value
