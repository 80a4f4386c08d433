"""The command line: one module per command group, the means they share beside them.

Nothing heavy is imported before a command needs it, so that ``assay --help`` answers at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the arguments name, and end the process with its exit code."""
    from assay.cli.app import app
    from assay.cli.console import explain, print_error

    try:
        app()
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        print_error(failure.message)
        sys.exit(failure.exit_code)
