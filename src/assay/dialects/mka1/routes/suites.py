"""Suites and versions (M§2.1, rows 1 to 7)."""

from __future__ import annotations

from assay.core.runs.retirement import delete_suite as retire_suite
from assay.core.suites import service
from assay.core.suites.types import NewSuite
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import AfterSuite, AfterVersion, PageLimit, SuiteVersionPath
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, Session, State, mka1_router
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.suites import CreateSuite, CreateVersion, WireSuite, WireSuiteDeleted, WireVersion

router = mka1_router("/api/v1/llm/evals", tag="suites")


@router.post("/suites")
async def create_suite(body: CreateSuite, caller: EvalsWriter, session: Session, state: State) -> WireSuite:
    """Create a suite with its first version."""
    new = NewSuite(name=body.name, manifest=body.manifest, description=body.description, metadata=body.metadata)
    return mapping.to_suite(await service.create_suite(session, caller, store=state.files, new=new))


@router.get("/suites")
async def list_suites(
    caller: EvalsReader, session: Session, after: AfterSuite = None, limit: PageLimit = 20, owned_only: bool = False
) -> WireList[WireSuite]:
    """List suites, newest first: the caller's own, and those that are shared with them."""
    page = await service.list_suites(session, caller, owned_only=owned_only, after=after, limit=limit)
    return mapping.to_list(page, mapping.to_suite)


@router.get("/suites/{suite_id}")
async def get_suite(suite_id: str, caller: EvalsReader, session: Session) -> WireSuite:
    """Retrieve a suite."""
    row_id = read_id(Prefix.SUITE, suite_id, param="suite_id")
    return mapping.to_suite(await service.get_suite(session, caller, suite_id=row_id))


@router.delete("/suites/{suite_id}")
async def delete_suite(suite_id: str, caller: EvalsWriter, session: Session) -> WireSuiteDeleted:
    """Delete a suite with all its runs."""
    row_id = read_id(Prefix.SUITE, suite_id, param="suite_id")
    return mapping.to_suite_deleted(await retire_suite(session, caller, suite_id=row_id))


@router.post("/suites/{suite_id}/versions")
async def create_suite_version(
    suite_id: str, body: CreateVersion, caller: EvalsWriter, session: Session, state: State
) -> WireVersion:
    """Append a version to a suite."""
    version = await service.create_suite_version(
        session,
        caller,
        store=state.files,
        suite_id=read_id(Prefix.SUITE, suite_id, param="suite_id"),
        manifest=body.manifest,
        metadata=body.metadata,
        make_active=body.make_active,
    )
    return mapping.to_version(version)


@router.get("/suites/{suite_id}/versions")
async def list_suite_versions(
    suite_id: str, caller: EvalsReader, session: Session, after: AfterVersion = None, limit: PageLimit = 20
) -> WireList[WireVersion]:
    """List the versions of a suite, newest first."""
    row_id = read_id(Prefix.SUITE, suite_id, param="suite_id")
    page = await service.list_suite_versions(session, caller, suite_id=row_id, after=after, limit=limit)
    return mapping.to_list(page, mapping.to_version)


@router.get("/suites/{suite_id}/versions/{version}")
async def get_suite_version(
    suite_id: str, version: SuiteVersionPath, caller: EvalsReader, session: Session
) -> WireVersion:
    """Retrieve one version."""
    row_id = read_id(Prefix.SUITE, suite_id, param="suite_id")
    found = await service.get_suite_version(session, caller, suite_id=row_id, version=version, through_shares=True)
    return mapping.to_version(found)
