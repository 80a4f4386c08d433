"""Every kind of error has a status, a type and a code in this dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.dialects.posthog.errors import CODE_OF_KIND, TYPE_OF_KIND
from assay.kit.errors import ErrorKind


@pytest.mark.parametrize("table", [STATUS_OF_KIND, TYPE_OF_KIND, CODE_OF_KIND])
def test_each_table_is_total(table: Mapping[ErrorKind, Any]) -> None:
    assert set(table) == set(ErrorKind)
