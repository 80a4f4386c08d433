"""The manifest: what a suite's version consists of, as its author wrote it."""

from assay.core.suites.manifest.errors import Fault, ManifestError, UnsupportedManifestError
from assay.core.suites.manifest.parsing import parse_manifest
from assay.core.suites.manifest.schema import Manifest, Task, TaskType
from assay.core.suites.manifest.support import UnsupportedPart, refuse_unsupported, unsupported_parts

__all__ = [
    "Fault",
    "Manifest",
    "ManifestError",
    "Task",
    "TaskType",
    "UnsupportedManifestError",
    "UnsupportedPart",
    "parse_manifest",
    "refuse_unsupported",
    "unsupported_parts",
]
