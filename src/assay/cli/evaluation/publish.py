"""Putting a local suite on the server. What is there already is used again, so repeated runs share one suite."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from assay.cli.evaluation.client import ApiClient, Json
from assay.cli.evaluation.suitefile import LocalSuite


@dataclass(frozen=True, slots=True)
class PublishedSuite:
    """A suite's version on the server."""

    suite_id: str
    version: int
    name: str
    manifest: Json


async def publish_suite(client: ApiClient, suite: LocalSuite) -> PublishedSuite:
    """Upload the suite's files and make sure that a version with its manifest exists.

    Raises:
        DomainError: The server refuses a file or the manifest; the message names the path of the fault.
    """
    ids: dict[Path, str] = {}
    for path in dict.fromkeys(suite.files.values()):
        ids[path] = await _upload(client, path)
    manifest = suite.with_file_ids(ids)
    known = await client.find_suite(suite.name)
    if known is None:
        made = await client.create_suite(name=suite.name, manifest=manifest)
        return PublishedSuite(made["id"], made["active_version"], suite.name, manifest)
    active = await client.get_version(known["id"], known["active_version"])
    if active["manifest"] != manifest:
        active = await client.create_version(known["id"], manifest)
    return PublishedSuite(known["id"], active["version"], suite.name, manifest)


async def _upload(client: ApiClient, path: Path) -> str:
    digest = await asyncio.to_thread(_sha256, path)
    file = await client.find_file(sha256=digest, filename=path.name) or await client.upload_file(path)
    return file["id"]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
