"""A manifest as people write it on their own machine.

Where the API wants the id of an uploaded file, a local manifest may give a path, relative to the manifest itself:

    dataset: {file: rows.jsonl}                 →  dataset: {file_id: …}
    fewshot: {dataset: {file: examples.csv}}    →  fewshot: {dataset: {file_id: …}}
    grader: {source_file: grader.py}            →  grader: {file_id: …}
    preprocess: {source_file: clean.py}         →  preprocess: {file_id: …}

Everything else is left as it is; judging it is the server's part.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from assay.cli.evaluation.client import Json
from assay.core.suites.manifest.text import ManifestLoader
from assay.kit.errors import InvalidError

_LOCAL_KEYS = ("file", "source_file")
_FORMATS = {".json": "JSON"}
_RIVALS = {"file": ("file_id", "path"), "source_file": ("file_id", "source")}
"""What says the same as a local key, in another way."""


class SuiteFileError(InvalidError):
    """The manifest file, or a file that it names, cannot be used."""

    code = "invalid_suite_file"


@dataclass(frozen=True, slots=True)
class LocalSuite:
    """A manifest that still names local files."""

    name: str
    manifest: Json
    """As written."""
    files: dict[str, Path]
    """The local file of each part that names one, by the part's path (``tasks[0].dataset``)."""

    def with_file_ids(self, ids: Mapping[Path, str]) -> Json:
        """The manifest with each local file replaced by the id of its upload."""
        manifest = copy.deepcopy(self.manifest)
        for where, part in _parts(manifest):
            if where in self.files:
                for key in _LOCAL_KEYS:
                    part.pop(key, None)
                part["file_id"] = ids[self.files[where]]
        return manifest


def load_suite(path: Path, *, data: Path | None = None, name: str | None = None) -> LocalSuite:
    """Read a manifest and find the files that it needs.

    Args:
        path: YAML, or JSON by its suffix.
        data: Rows for the tasks that name no dataset; when all name one and the same, for those.
        name: Of the suite; by default the file's, or its folder's if that says only ``manifest``.

    Raises:
        SuiteFileError: It is no manifest, or a file is not there.
    """
    manifest = _read(path)
    if data is not None:
        _use_data(manifest, data)
    files = {where: found for where, part in _parts(manifest) if (found := _local_file(where, part, path.parent))}
    _refuse_missing(manifest)
    return LocalSuite(name or _name_of(path), manifest, files)


def _name_of(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "manifest" else path.stem


def _read(path: Path) -> Json:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteFileError(f"{path}: {_reason(error)}.", param=str(path)) from error
    try:
        manifest: object = json.loads(text) if path.suffix == ".json" else _read_yaml(text, path)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise SuiteFileError(f"{path}: is no {_FORMATS.get(path.suffix, 'YAML')}: {error}", param=str(path)) from error
    if not isinstance(manifest, dict) or not isinstance(cast("Json", manifest).get("tasks"), list):
        raise SuiteFileError(f"{path}: a manifest is an object with a list of `tasks`; see docs/manifest.md.")
    return cast("Json", manifest)


def _read_yaml(text: str, path: Path) -> object:
    loader = ManifestLoader(text)
    loader.name = str(path)  # so that faults name it
    try:
        return loader.get_single_data()  # pyright: ignore[reportUnknownMemberType]
    finally:
        loader.dispose()  # pyright: ignore[reportUnknownMemberType]


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return "is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)


def _tasks(manifest: Json) -> Iterator[tuple[str, Json]]:
    for number, task in enumerate(manifest["tasks"]):
        if isinstance(task, dict):
            yield f"tasks[{number}]", task  # pyright: ignore[reportUnknownMemberType] - any JSON object


def _parts(manifest: Json) -> Iterator[tuple[str, Json]]:
    """Every part that may name a file, with its path."""
    for where, task in _tasks(manifest):
        yield from _children(where, task, ("dataset", "grader", "preprocess"))
        for path, fewshot in _children(where, task, ("fewshot",)):
            yield from _children(path, fewshot, ("dataset",))
        for path, embedding in _children(where, task, ("embedding",)):
            yield from _children(path, embedding, tuple(key for key in embedding if key.endswith("_dataset")))


def _children(where: str, parent: Json, keys: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
    for key in keys:
        child: object = parent.get(key)
        if isinstance(child, dict):
            yield f"{where}.{key}", cast("Json", child)


def _use_data(manifest: Json, data: Path) -> None:
    tasks = [task for _, task in _tasks(manifest)]
    wanting = [task for task in tasks if "dataset" not in task]
    if not wanting:
        if any(task["dataset"] != tasks[0]["dataset"] for task in tasks):
            raise SuiteFileError(
                "--data: every task names a dataset of its own, so there is none to give this file to. "
                "Leave `dataset` out of the tasks that should get it.",
                param="--data",
            )
        wanting = tasks
    for task in wanting:
        kept: Json = {key: value for key, value in task.get("dataset", {}).items() if key == "max_rows"}
        task["dataset"] = {**kept, "file": str(data.resolve())}


def _refuse_missing(manifest: Json) -> None:
    for where, task in _tasks(manifest):
        if "dataset" not in task:
            raise SuiteFileError(f"{where}.dataset: is missing. Give it here, or rows with --data.", param=where)


def _local_file(where: str, part: Json, folder: Path) -> Path | None:
    """The file that a part names by a path; None when it names none."""
    named = next((key for key in _LOCAL_KEYS if key in part), None)
    if named is None:
        return None
    rival = next((key for key in _RIVALS[named] if key in part), None)
    if rival is not None:
        raise SuiteFileError(f"{where}: give either `{named}` or `{rival}`.", param=where)
    value: object = part[named]
    if not isinstance(value, str) or not value:
        raise SuiteFileError(f"{where}.{named}: must be a path.", param=where)
    path = (folder / Path(value).expanduser()).resolve()
    if not path.is_file():
        raise SuiteFileError(f"{where}.{named}: there is no file {path}.", param=where)
    return path
