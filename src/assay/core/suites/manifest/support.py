"""What the schema knows and this version cannot run.

A suite that uses such a part is refused when it is made: a part that is stored and then ignored would give numbers
that look right and are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from assay.core.suites.manifest.errors import Fault, UnsupportedManifestError
from assay.core.suites.manifest.schema import DatasetSource, Manifest, Task, task_datasets


class UnsupportedPart(NamedTuple):
    """A part of a manifest that cannot be run."""

    path: str
    why: str


def unsupported_parts(manifest: Manifest) -> list[UnsupportedPart]:
    """Every part of a valid manifest that is not available in this version, in document order."""
    return [
        UnsupportedPart(f"tasks[{index}].{path}", why)
        for index, task in enumerate(manifest.tasks)
        for path, why in _unsupported_in(task)
    ]


def refuse_unsupported(manifest: Manifest) -> None:
    """Refuse what would be ignored.

    Raises:
        UnsupportedManifestError: Naming every part that is not available in this version.
    """
    parts = unsupported_parts(manifest)
    if parts:
        raise UnsupportedManifestError([Fault(part.path, part.why) for part in parts])


def _unsupported_in(task: Task) -> Iterator[UnsupportedPart]:
    for path, dataset in task_datasets(task).items():
        if dataset.effective_source is DatasetSource.HUGGINGFACE:
            yield UnsupportedPart(
                f"{path}.path",
                "Hugging Face datasets are not available in this version; upload the rows as a JSONL or CSV file "
                "and give its file_id",
            )
