"""Options that several commands have: where the server is, and in what form to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option(help="Instead of ASSAY_HOME.", file_okay=False)]
Config = Annotated[
    Path | None, typer.Option(help="assay.toml for the time of the command.", exists=True, dir_okay=False)
]
Server = Annotated[
    str | None, typer.Option(envvar="ASSAY_SERVER", help="Address of an Assay elsewhere.", metavar="URL")
]
ApiKey = Annotated[str | None, typer.Option(envvar="ASSAY_API_KEY", help="Key for it.", show_envvar=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
