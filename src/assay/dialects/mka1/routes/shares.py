"""Shares of suites (M§2.1, rows 8 to 10)."""

from __future__ import annotations

from assay.core.suites import sharing
from assay.core.suites.sharing import Share
from assay.dialects.mka1.identifiers import Prefix, read_id, write_id
from assay.dialects.mka1.mapping import unix
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, Session, mka1_router
from assay.dialects.mka1.wire.shares import CreateShare, WireShare, WireShareDeleted, WireShareList

router = mka1_router("/api/v1/llm/evals", tag="shares")


@router.get("/suites/{suite_id}/shares")
async def list_suite_shares(suite_id: str, caller: EvalsReader, session: Session) -> WireShareList:
    """List all organizations that may read a suite."""
    row_id = read_id(Prefix.SUITE, suite_id, param="suite_id")
    shares = await sharing.list_shares(session, caller, suite_id=row_id)
    return WireShareList(object="list", data=[_to_share(share) for share in shares])


@router.post("/suites/{suite_id}/shares")
async def create_suite_share(suite_id: str, body: CreateShare, caller: EvalsWriter, session: Session) -> WireShare:
    """Let an organization read a suite with all its versions and runs."""
    share = await sharing.share_suite(
        session,
        caller,
        suite_id=read_id(Prefix.SUITE, suite_id, param="suite_id"),
        organization_id=read_id(Prefix.ORGANIZATION, body.org_id, param="org_id"),
    )
    return _to_share(share)


@router.delete("/suites/{suite_id}/shares/{org_id}")
async def delete_suite_share(suite_id: str, org_id: str, caller: EvalsWriter, session: Session) -> WireShareDeleted:
    """Withdraw a share."""
    share = await sharing.unshare_suite(
        session,
        caller,
        suite_id=read_id(Prefix.SUITE, suite_id, param="suite_id"),
        organization_id=read_id(Prefix.ORGANIZATION, org_id, param="org_id"),
    )
    return WireShareDeleted(id=write_id(Prefix.SHARE, share.id), object="eval.suite.share.deleted", deleted=True)


def _to_share(share: Share) -> WireShare:
    return WireShare(
        id=write_id(Prefix.SHARE, share.id),
        object="eval.suite.share",
        suite_id=write_id(Prefix.SUITE, share.suite_id),
        org_id=write_id(Prefix.ORGANIZATION, share.organization_id),
        granted_by=write_id(Prefix.USER, share.granted_by),
        created_at=unix(share.created_at),
    )
