"""Records the demo as the picture in the README: ``uv run python docs/images/record.py``.

What the picture shows is what the demo printed, down to its numbers. Only the folder of the throwaway home is replaced
by the name that it has for a user.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("demo.svg")
COLUMNS = 124
COMMAND = "uv run assay demo"
USUAL_HOME = "~/.local/share/assay"


def record() -> Text:
    """Run the demo and return what it printed.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "ASSAY_HOME": home, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
        ran = subprocess.run(
            [sys.executable, "-m", "assay", "demo"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
            text=True,
        )
        printed = ran.stdout.replace(home, USUAL_HOME)
    # Progress rewrites its line; of each line, the last writing stays.
    lines = [line.rsplit("\r", 1)[-1] for line in printed.splitlines()]
    return Text.from_ansi("\n".join([f"$ {COMMAND}", *lines]))


def draw(printed: Text) -> str:
    """The picture, which loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    console.print(printed, soft_wrap=False)
    usual: str = inspect.signature(Console.export_svg).parameters["code_format"].default
    template = re.sub(r"@font-face \{\{.*?\}\}\s*", "", usual, flags=re.DOTALL)
    return console.export_svg(title=COMMAND, code_format=template, unique_id="demo")


if __name__ == "__main__":
    PICTURE.write_text(draw(record()), encoding="utf-8")
