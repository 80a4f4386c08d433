"""What can be wrong with tools themselves, before any is called.

InvalidError
├── UnsupportedToolError  a kind of tool that cannot be carried out here
└── ToolDefinitionError   a definition is wrong
"""

from __future__ import annotations

from assay.kit.errors import InvalidError


class UnsupportedToolError(InvalidError):
    """A kind of tool that cannot be carried out here; the message names it."""

    code = "unsupported_tool"


class ToolDefinitionError(InvalidError):
    """A definition is wrong; ``param`` says where."""

    code = "invalid_tool"
