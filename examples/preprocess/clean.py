"""Takes the markup off, leaves out what is closed, and works out the hours that are asked for."""

import re
from typing import Any


def transform_batch(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of places that open at all."""
    cleaned: list[dict[str, Any]] = []
    for row in rows:
        place = re.sub(r"<[^>]+>", "", row["place"]).strip()
        if row["open"]:
            hours = int(row["close"]) - int(row["open"])
            cleaned.append({"place": place, "open": row["open"], "close": row["close"], "hours": str(hours)})
    return cleaned
