"""Gateways that talk to mock providers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.gateways import OpenGateway, gateway_opener

from assay.kit.secrets import SecretBox


@pytest.fixture
def gateway_at(tmp_path: Path) -> OpenGateway:
    return gateway_opener(tmp_path)


@pytest.fixture
def secrets() -> SecretBox:
    return SecretBox("a key of sufficient length")
