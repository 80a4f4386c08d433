"""Tools that a model may call, and what carries them out.

    definitions.py  from tools as clients write them to a ``Toolset``; what cannot be carried out is refused by name
    http.py         a function with an HTTP endpoint
    python.py       a function with Python source, in the sandbox
    mcp.py          tools of an MCP server over streamable HTTP
    service.py      ``ToolBox``: carries a call out, whatever its kind

A call that goes wrong is a *result*: a ``ToolOutcome`` with an error, which the model reads and may act on. Only what
is wrong on our side (no sandbox) is an exception, and is tried again.
"""
