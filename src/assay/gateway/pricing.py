"""What a call cost, or None when that is not known.

Prices come from the catalog entry, else from the table that ships with ``genai-prices``. A model is looked up there
only under the provider that its base URL belongs to: a self-hosted copy of a priced model costs something else.
A table price is compiled to a few Decimals and kept for an hour, because some prices depend on the date.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assay.gateway.entries import ResolvedModel, TokenPrices
from assay.gateway.types import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_MILLION = Decimal(1_000_000)
_KEEP_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class _Rate:
    """Dollars per token; from ``starts[i]`` input tokens on (exclusive) ``steps[i]`` holds for all of them."""

    base: Decimal
    starts: tuple[int, ...] = ()
    steps: tuple[Decimal, ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        if not self.starts:
            return self.base
        passed = bisect_left(self.starts, input_tokens)
        return self.base if passed == 0 else self.steps[passed - 1]


@dataclass(frozen=True, slots=True)
class _PriceCard:
    input: _Rate
    output: _Rate
    cached: _Rate
    written: _Rate

    def cost(self, usage: Usage) -> Decimal | None:
        tokens, produced = usage.input_tokens, usage.output_tokens
        if tokens is None or produced is None:
            return None
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        total = self.input.at(tokens) * max(0, tokens - cached - written) + self.output.at(tokens) * produced
        if cached:
            total += self.cached.at(tokens) * cached
        if written:
            total += self.written.at(tokens) * written
        return total


@dataclass(frozen=True, slots=True)
class _KeptCard:
    until: float
    card: _PriceCard | None


class Pricer:
    """Prices calls; cheap after the first call of each model."""

    __slots__ = ("_cards",)

    def __init__(self) -> None:
        self._cards: dict[ResolvedModel, _KeptCard] = {}

    def cost(self, model: ResolvedModel, usage: Usage) -> Decimal | None:
        """US dollars, or None when the price or the number of tokens is not known."""
        kept = self._cards.get(model)
        if kept is None or kept.until < time.monotonic():
            kept = self.prepare(model)
        return None if kept.card is None else kept.card.cost(usage)

    def prepare(self, model: ResolvedModel) -> _KeptCard:
        """Look the price up and keep it. Slow at the first call of a process; may run in a thread."""
        kept = _KeptCard(time.monotonic() + _KEEP_SECONDS, _card(model))
        self._cards[model] = kept
        return kept


def _card(model: ResolvedModel) -> _PriceCard | None:
    if model.entry.prices is not None:
        return _card_of_entry(model.entry.prices)
    return None if model.simulated else _card_of_table(model)


def _card_of_entry(prices: TokenPrices) -> _PriceCard:
    cached = prices.input if prices.cached_input is None else prices.cached_input
    written = prices.input if prices.cache_write is None else prices.cache_write
    rates = [_Rate(price / _MILLION) for price in (prices.input, prices.output, cached, written)]
    return _PriceCard(*rates)


def _card_of_table(model: ResolvedModel) -> _PriceCard | None:
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, info = get_snapshot().find_provider_model(model.upstream, None, None, model.provider.base_url)
    except LookupError:
        return None
    price: ModelPrice = info.get_prices(datetime.now(UTC))
    unit = {name: getattr(price, name) for name in ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")}
    if unit["input_mtok"] is None:
        return None
    # An embedding model has no output price and no output.
    given = _rate(unit["input_mtok"])
    made = _Rate(Decimal(0)) if unit["output_mtok"] is None else _rate(unit["output_mtok"])
    cached = given if unit["cache_read_mtok"] is None else _rate(unit["cache_read_mtok"])
    written = given if unit["cache_write_mtok"] is None else _rate(unit["cache_write_mtok"])
    return _PriceCard(given, made, cached, written)


def _rate(price: Any) -> _Rate:
    if isinstance(price, Decimal):
        return _Rate(price / _MILLION)
    tiers = sorted(price.tiers, key=lambda tier: tier.start)
    return _Rate(
        price.base / _MILLION, tuple(tier.start for tier in tiers), tuple(tier.price / _MILLION for tier in tiers)
    )
