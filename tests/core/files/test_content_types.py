"""Clients of the published API decode what is served."""

from __future__ import annotations

import pytest

from assay.core.files.content_types import SERVED, choose_content_type


@pytest.mark.parametrize(
    ("filename", "declared", "expected"),
    [
        ("rows.jsonl", "application/octet-stream", "application/jsonl"),
        ("rows.JSONL", None, "application/jsonl"),
        ("rows.ndjson", None, "application/x-ndjson"),
        ("grader.py", "text/x-script.phyton", "text/x-python"),
        ("rows.csv", "application/vnd.ms-excel", "text/csv"),
        ("rows.parquet", "application/vnd.apache.parquet", "text/plain"),
        ("clip.wav", "audio/wav", "text/plain"),
        ("all.zip", "application/zip", "text/plain"),
        ("noextension", "application/octet-stream", "text/plain"),
        ("noextension", None, "text/plain"),
        ("noextension", "Application/JSON; charset=utf-8", "application/json"),
        ("archive.jsonl.gz", "application/gzip", "text/plain"),
        (".jsonl", None, "text/plain"),
        ("picture.svg", None, "image/svg+xml"),
    ],
)
def test_choice(filename: str, declared: str | None, expected: str) -> None:
    assert choose_content_type(filename, declared) == expected
    assert expected in SERVED
