from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as TableUsage
from genai_prices import calc_price

from assay.gateway.entries import ModelEntry, ProviderEntry, ProviderKind, ResolvedModel, TokenPrices
from assay.gateway.pricing import Pricer
from assay.gateway.tokens import count_tokens
from assay.gateway.types import Usage

OPENAI = ProviderEntry(name="openai", kind=ProviderKind.OPENAI, base_url="https://api.openai.com/v1")
ANTHROPIC = ProviderEntry(name="anthropic", kind=ProviderKind.ANTHROPIC, base_url="https://api.anthropic.com")
LOCAL = ProviderEntry(name="local", kind=ProviderKind.OPENAI, base_url="http://127.0.0.1:8000/v1")
SIMULATOR = ProviderEntry(name="simulator", kind=ProviderKind.SIMULATOR, base_url="simulator:")


def _model(provider: ProviderEntry, upstream: str, prices: TokenPrices | None = None) -> ResolvedModel:
    return ResolvedModel(ModelEntry(id=upstream, provider=provider.name, upstream=upstream, prices=prices), provider)


@pytest.mark.parametrize("usage", [Usage(1000, 100, 300, 50), Usage(250_000, 10, 100, 0, 7), Usage(1, 0), Usage(0, 0)])
@pytest.mark.parametrize(
    ("provider", "upstream"),
    [
        (OPENAI, "gpt-4o-mini"),
        (OPENAI, "gpt-4.1"),
        (ANTHROPIC, "claude-sonnet-4-5"),
        (ANTHROPIC, "claude-3-5-haiku-latest"),
    ],
)
def test_a_table_price_is_the_tables_own(provider: ProviderEntry, upstream: str, usage: Usage) -> None:
    if provider is OPENAI:
        usage = Usage(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    want = calc_price(
        TableUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        ),
        upstream,
        provider_id=provider.name,
        genai_request_timestamp=datetime.now(UTC),
    )
    assert Pricer().cost(_model(provider, upstream), usage) == want.total_price


def test_an_embedding_costs_its_input() -> None:
    cost = Pricer().cost(_model(OPENAI, "text-embedding-3-small"), Usage(1_000_000, 0))
    assert cost is not None
    assert cost > 0


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        (_model(OPENAI, "gpt-99-unheard-of"), Usage(1, 1)),
        (_model(LOCAL, "gpt-4o-mini"), Usage(1, 1)),
        (_model(SIMULATOR, "gpt-4o-mini"), Usage(1, 1)),
        (_model(OPENAI, "gpt-4o-mini"), Usage()),
        (_model(OPENAI, "gpt-4o-mini"), Usage(5, None)),
    ],
    ids=["unknown", "self-hosted", "simulated", "no usage", "half a usage"],
)
def test_what_is_not_known_is_none_and_never_zero(model: ResolvedModel, usage: Usage) -> None:
    assert Pricer().cost(model, usage) is None


def test_configured_prices_win() -> None:
    prices = TokenPrices(input=Decimal(2), output=Decimal(8), cached_input=Decimal("0.5"))
    model = _model(OPENAI, "gpt-4o-mini", prices)
    # (1000 - 400 - 100) * 2 + 400 * 0.5 + 100 * 2 (written at the input price) + 50 * 8 = 1800 millionths
    assert Pricer().cost(model, Usage(1000, 50, 400, None, 100)) == Decimal("0.0018")


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("hello world", 2), ("<|endoftext|>", 7)])
def test_tokens_are_counted_by_o200k(text: str, tokens: int) -> None:
    assert count_tokens(text) == tokens
