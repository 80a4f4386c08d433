"""Small line drawings, 16 by 16, in the colour of the text beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

# ruff: noqa: E501 - a path is one word
_PATHS = {
    "home": "M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5",
    "runs": "M4 3.2v9.6l8-4.8z",
    "suites": "M2.5 4.5 8 2l5.5 2.5L8 7zM2.5 8 8 10.5 13.5 8M2.5 11.5 8 14l5.5-2.5",
    "schedules": "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.5V8l2.5 1.5",
    "traffic": "M1.5 8.5h3l2-5 3 9.5 2-4.5h3",
    "evaluators": "M2.5 8.5 6 12l7.5-8",
    "datasets": "M3 4c0-1 2.2-1.8 5-1.8S13 3 13 4s-2.2 1.8-5 1.8S3 5 3 4zv8c0 1 2.2 1.8 5 1.8s5-.8 5-1.8V4M3 8c0 1 2.2 1.8 5 1.8s5-.8 5-1.8",
    "labels": "M2.5 2.5h5L13.5 8.5 8.5 13.5 2.5 7.5zM5.2 5.2h.01",
    "jobs": "M2.5 12.5 6.5 8l3 2.5 4-6M10.5 4.5h3v3",
    "agents": "M4 6h8v7H4zM8 3.2V6M6.3 9h.01M9.7 9h.01M2 8.5v2M14 8.5v2",
    "settings": "M2.5 4.5h7M12.5 4.5h1M2.5 11.5h1M6.5 11.5h7M11 3v3M5 10v3",
    "menu": "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
    "sun": "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5V3M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
    "out": "M6.5 2.5h-4v11h4M6.5 8h7M10.5 5l3 3-3 3",
    "plus": "M8 3v10M3 8h10",
    "next": "M6 3l5 5-5 5",
}


def icon(name: str) -> Markup:
    """An icon. It says nothing that the text beside it does not."""
    from markupsafe import Markup

    # The paths are constants of this module.
    box = 'class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"'
    return Markup(f'<svg {box}><path d="{_PATHS[name]}"/></svg>')
