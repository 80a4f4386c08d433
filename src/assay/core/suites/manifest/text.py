"""Manifests as people write and read them: YAML, of which JSON is a part, with the line of every place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import yaml

from assay.core.suites.manifest.errors import Fault, ManifestError
from assay.core.suites.manifest.parsing import MAX_BYTES
from assay.kit.storable import render_path

MAX_TEXT_BYTES = MAX_BYTES * 2
"""White space and comments cost nothing once the text is read."""
_MAX_NESTING = 64
_FIRST_KEYS = (
    *("schema_version", "tasks", "id", "name", "type", "dataset", "file_id", "dataset_id", "format", "max_rows"),
    *("preprocess", "num_fewshot", "fewshot", "prompt_template", "target_template", "choices", "output_extraction"),
    *("embedding", "grader", "metrics", "metadata"),
)
"""The order in which people write them; the database keeps keys in none."""


class ManifestLoader(yaml.SafeLoader):
    """YAML as JSON knows it: dates stay texts, a key given twice is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse keys given twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"{key.value!r} is given twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return cast("dict[Any, Any]", super().construct_mapping(node, deep=deep))  # pyright: ignore[reportUnknownMemberType]


ManifestLoader.yaml_implicit_resolvers = {  # pyright: ignore[reportUnknownMemberType]
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in cast(
        "dict[str, list[tuple[str, Any]]]",
        yaml.SafeLoader.yaml_implicit_resolvers,  # pyright: ignore[reportUnknownMemberType]
    ).items()
}


class _StrangersLoader(ManifestLoader):
    """For texts from elsewhere: without aliases, with which a few lines stand for gigabytes, and not too deep."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases and deep nesting."""
        event = cast("yaml.Event", self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        mark = cast("yaml.Mark | None", event.start_mark)  # pyright: ignore[reportUnknownMemberType]
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not read; write the part out", problem_mark=mark)
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class Lines:
    """On which line each part of a text begins, by its path (``tasks[0].dataset``)."""

    def __init__(self, by_path: Mapping[str, int]) -> None:
        self._by_path = by_path

    def of(self, path: str) -> int | None:
        """The line of a part, or else of the nearest part around it; None where nothing is known."""
        while path and path not in self._by_path:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self._by_path.get(path)


def read_manifest_text(text: str) -> tuple[Any, Lines]:
    """A manifest from a text that anybody may have written.

    Raises:
        ManifestError: It is no YAML; the message has the line.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
        raise ManifestError([Fault("", f"more than {MAX_TEXT_BYTES:,} bytes; move data into dataset files")])
    loader = None
    try:
        loader = _StrangersLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise ManifestError([Fault("", "is empty; write at least `tasks`")])
        lines = Lines(dict(_walk(node, ())))
        return loader.construct_document(node), lines  # pyright: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise TextFaultError(
            where + (error.problem or "is no YAML"), None if mark is None else mark.line + 1
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TextFaultError(f"is no YAML: {error}", None) from error
    finally:
        if loader is not None:
            loader.dispose()  # pyright: ignore[reportUnknownMemberType]


class TextFaultError(ManifestError):
    """The text is no YAML."""

    code = "invalid_manifest"

    def __init__(self, reason: str, line: int | None) -> None:
        super().__init__([Fault("", reason)])
        self.line = line


def write_manifest_text(manifest: Any) -> str:
    """A manifest as YAML, its keys in the order in which people write them, its long texts as blocks."""
    # Typed loosely, as some releases of the library's stubs leave the dumper's type out.
    text: str = cast("Any", yaml).dump(
        _ordered(manifest), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # A block cannot hold lines that end in white space.
    is_block = "\n" in text and not any(line != line.rstrip() for line in text.split("\n"))
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if is_block else None)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _write_text)


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        known = cast("Mapping[str, Any]", value)
        ranks = {key: rank for rank, key in enumerate(_FIRST_KEYS)}
        return {key: _ordered(known[key]) for key in sorted(known, key=lambda key: (ranks.get(key, 99), key))}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in cast("list[Any]", value)]
    return value


def _walk(node: yaml.Node, path: tuple[str | int, ...]) -> Iterator[tuple[str, int]]:
    yield render_path(path), node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield from _walk(value, inner)
            yield render_path(inner), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _walk(value, (*path, number))
