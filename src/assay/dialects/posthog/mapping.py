"""Rows as this dialect writes them, and what it sends as the core's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from assay.core.datasets.models import DatasetItemRow, DatasetRow
from assay.core.projects.types import User
from assay.dialects.posthog.wire import DatasetInput, DatasetItemInput, moment

Authors = Mapping[UUID, User]


def render_time(value: datetime) -> str:
    """ISO 8601 in UTC with microseconds (P§1.1)."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def render_author(user: User | None) -> dict[str, Any] | None:
    """Who made an object (P§1.5)."""
    if user is None:
        return None
    return {
        "id": user.number,
        "uuid": str(user.id),
        "distinct_id": str(user.id),
        "first_name": user.name,
        "last_name": "",
        "email": user.email or "",
        "is_email_verified": None,
        "hedgehog_config": None,
        "role_at_organization": None,
    }


def dataset_renderer(project_number: int, authors: Authors) -> Callable[[DatasetRow], dict[str, Any]]:
    """Writes datasets of one project."""

    def render(row: DatasetRow) -> dict[str, Any]:
        return {
            "id": str(row.id),
            "name": row.name,
            "description": row.description,
            "metadata": row.details,
            **_common(row, project_number, authors),
        }

    return render


def item_renderer(project_number: int, authors: Authors) -> Callable[[DatasetItemRow], dict[str, Any]]:
    """Writes items of one project."""

    def render(row: DatasetItemRow) -> dict[str, Any]:
        return {
            "id": str(row.id),
            "dataset": str(row.dataset_id),
            "input": row.input,
            "output": row.expected,
            "metadata": row.details,
            "ref_trace_id": row.source_trace_id,
            "ref_timestamp": None if row.source_timestamp is None else render_time(row.source_timestamp),
            "ref_source_id": row.source_event_id,
            **_common(row, project_number, authors),
        }

    return render


def dataset_values(wire: DatasetInput) -> dict[str, Any]:
    """The fields that a client sent, in the core's words."""
    return _renamed(wire.model_dump(include=wire.model_fields_set), {"metadata": "details"})


def item_values(wire: DatasetItemInput) -> dict[str, Any]:
    """The fields that a client sent, in the core's words."""
    sent = wire.model_dump(include=wire.model_fields_set)
    if "ref_timestamp" in sent:
        sent["ref_timestamp"] = moment(wire.ref_timestamp)
    names = {
        "dataset": "dataset_id",
        "output": "expected",
        "metadata": "details",
        "ref_trace_id": "source_trace_id",
        "ref_timestamp": "source_timestamp",
        "ref_source_id": "source_event_id",
    }
    return _renamed(sent, names)


def _renamed(values: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _common(row: DatasetRow | DatasetItemRow, project_number: int, authors: Authors) -> dict[str, Any]:
    author = None if row.created_by is None else authors.get(row.created_by)
    return {
        "created_at": render_time(row.created_at),
        "updated_at": render_time(row.updated_at),
        "deleted": row.deleted_at is not None,
        "created_by": render_author(author),
        "team": project_number,
    }
