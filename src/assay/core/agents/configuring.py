"""What a configuration may be. Whether its model exists is found out by each run, since catalogs change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from assay.core.agents.errors import AgentInputError, EmptyUpdateError
from assay.core.agents.types import ABSENT, AgentChanges, AgentConfiguration
from assay.core.metadata import check_metadata

MAX_NAME_LENGTH = 255
MAX_MODEL_LENGTH = 255
MAX_DESCRIPTION_LENGTH = 10_000
MAX_INSTRUCTIONS_LENGTH = 500_000
MAX_TOOLS = 128
MAX_TOOL_CALLS = 300
MAX_FALLBACK_MODELS = 20
MAX_FUNCTION_NAME_LENGTH = 64

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "function_reference": ("function_tool_id",),
    "agent": ("agent_id",),
    "file_search": ("vector_store_ids",),
    "code_interpreter": ("container",),
}


def check_configuration(configuration: AgentConfiguration) -> AgentConfiguration:
    """The configuration itself.

    Raises:
        AgentInputError: A field is out of its bounds.
        MetadataError: The metadata is.
    """
    _check_length("name", configuration.name, MAX_NAME_LENGTH)
    _check_length("model", configuration.model, MAX_MODEL_LENGTH)
    _check_length("description", configuration.description, MAX_DESCRIPTION_LENGTH, least=0)
    _check_length("instructions", configuration.instructions, MAX_INSTRUCTIONS_LENGTH, least=0)
    _check_tools(configuration.tools)
    calls = configuration.max_tool_calls
    if calls is not None and not 1 <= calls <= MAX_TOOL_CALLS:
        raise AgentInputError(f"`max_tool_calls` must be 1 to {MAX_TOOL_CALLS}.", param="max_tool_calls")
    if len(configuration.fallback_models) > MAX_FALLBACK_MODELS:
        raise AgentInputError(
            f"`fallback_models` may name at most {MAX_FALLBACK_MODELS} models.", param="fallback_models"
        )
    for index, model in enumerate(configuration.fallback_models):
        _check_length(f"fallback_models[{index}]", model, MAX_MODEL_LENGTH)
    check_metadata(configuration.metadata)
    return configuration


def change_configuration(configuration: AgentConfiguration, changes: AgentChanges) -> AgentConfiguration:
    """The configuration with its changes; not checked yet.

    Raises:
        EmptyUpdateError: There are none.
    """
    wanted = {field.name: getattr(changes, field.name) for field in fields(changes)}
    given = {name: value for name, value in wanted.items() if value is not ABSENT}
    if not given:
        raise EmptyUpdateError("The update is empty; send at least one field to change.")
    return replace(configuration, **given)


def check_definition(definition: Mapping[str, Any], *, path: str = "") -> Mapping[str, Any]:
    """The definition of a function, as it is.

    Raises:
        AgentInputError: ``type``, ``name`` or ``parameters`` is missing or not of its form.
    """
    where = f"{path}." if path else ""
    if definition.get("type") != "function":
        raise AgentInputError(f"`{where}type` must be 'function'.", param=f"{where}type")
    name = definition.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_FUNCTION_NAME_LENGTH:
        raise AgentInputError(
            f"`{where}name` must be a text of 1 to {MAX_FUNCTION_NAME_LENGTH} characters.", param=f"{where}name"
        )
    if not isinstance(definition.get("parameters"), Mapping):
        raise AgentInputError(
            f"`{where}parameters` must be a JSON Schema object; write {{}} for none.", param=f"{where}parameters"
        )
    return definition


def _check_tools(tools: Sequence[Mapping[str, Any]]) -> None:
    if len(tools) > MAX_TOOLS:
        raise AgentInputError(f"`tools` may hold at most {MAX_TOOLS} tools; it has {len(tools)}.", param="tools")
    for index, tool in enumerate(tools):
        _check_tool(tool, f"tools[{index}]")


def _check_tool(tool: Mapping[str, Any], path: str) -> None:
    kind = tool.get("type")
    if not isinstance(kind, str) or not kind:
        raise AgentInputError(f"`{path}.type` must be a text, such as 'function'.", param=f"{path}.type")
    if kind == "function":
        check_definition(tool, path=path)
    if kind == "mcp" and not (tool.get("server_label") or tool.get("mcp_server_id")):
        raise AgentInputError(
            f"`{path}` must have a `server_label` or an `mcp_server_id`.", param=f"{path}.server_label"
        )
    for name in _REQUIRED.get(kind, ()):
        if tool.get(name) is None:
            raise AgentInputError(f"`{path}.{name}` is missing; a {kind} tool needs it.", param=f"{path}.{name}")


def _check_length(name: str, text: str | None, most: int, *, least: int = 1) -> None:
    if text is not None and not (least <= len(text) <= most and (least == 0 or text.strip())):
        raise AgentInputError(f"`{name}` must have {least} to {most} characters.", param=name)
