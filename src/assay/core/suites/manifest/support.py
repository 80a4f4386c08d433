"""What fits the schema and cannot be run.

Suites that a historical import made name the files their results came from. Those hold answers, not questions, so a run
over one would ask nonsense and give numbers that look right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from assay.core.suites.manifest.errors import Fault, UnsupportedManifestError
from assay.core.suites.manifest.schema import DatasetSource, Manifest, Task, task_datasets

_RESULTS_FILE = re.compile(r"(?:.*/)?samples_.+_\d{4}-\d\d-\d\dT[\d.:-]+\.jsonl")


class UnsupportedPart(NamedTuple):
    """A part of a manifest that cannot be run."""

    path: str
    why: str


def unsupported_parts(manifest: Manifest) -> list[UnsupportedPart]:
    """Every part of a valid manifest that cannot be run, in document order."""
    return [
        UnsupportedPart(f"tasks[{index}].{path}", why)
        for index, task in enumerate(manifest.tasks)
        for path, why in _unsupported_in(task)
    ]


def refuse_unsupported(manifest: Manifest) -> None:
    """Refuse what would give meaningless numbers.

    Raises:
        UnsupportedManifestError: Naming every part that cannot be run.
    """
    parts = unsupported_parts(manifest)
    if parts:
        raise UnsupportedManifestError([Fault(part.path, part.why) for part in parts])


def _unsupported_in(task: Task) -> Iterator[UnsupportedPart]:
    for path, dataset in task_datasets(task).items():
        files = dataset.data_files
        is_hub = dataset.effective_source is DatasetSource.HUGGINGFACE
        if is_hub and isinstance(files, str) and _RESULTS_FILE.fullmatch(files):
            yield UnsupportedPart(
                f"{path}.data_files",
                "is a file of another harness's results, which has answers and no questions to ask; its results can be "
                "read and ranked, and to run the task give the dataset itself",
            )
