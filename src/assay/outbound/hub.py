"""``HubClient``: requests to the Hugging Face Hub, or to a mirror of it.

Facts (https://huggingface.co/docs/hub/api): repositories are renamed by redirects; the content of large files comes by
a redirect to another host; ``Link`` names the next page of a listing. The token goes to the hub alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from assay.kit.errors import InvalidError, UnavailableError
from assay.outbound.client import GuardedClient, OutboundLimits, OutboundResponse
from assay.outbound.errors import ConnectionFailedError, NameNotFoundError, OutboundTimeoutError

MAX_REDIRECTS = 4

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NEXT_PAGE = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')


class HubRefusedError(InvalidError):
    """The hub wants a token, or another one."""

    code = "hub_refused"


class HubAnswerError(InvalidError):
    """The hub's answer is of no use."""

    code = "hub_answer"


class HubAwayError(UnavailableError):
    """The hub does not answer, or says that it is busy."""

    code = "hub_away"


class HubClient:
    """Reads from the hub.

    Args:
        client: Makes the requests.
        url: Of the hub.
        token: Whoever is to be known to the hub; None for nobody.
    """

    def __init__(self, client: GuardedClient, url: str, *, token: str | None) -> None:
        self._client = client
        self.url = url.rstrip("/")
        self._token = token

    async def get(self, url: str, *, limits: OutboundLimits, into: Path | None = None) -> OutboundResponse | None:
        """The answer of status 200, redirects followed; None for a 404.

        Args:
            url: Of the hub, absolute.
            limits: Of each request on the way.
            into: A file for the body.

        Raises:
            HubRefusedError, HubAnswerError, HubAwayError: There is none.
            UrlRefusedError, AddressRefusedError: The hub, or where it redirects to, is not reached from here.
        """
        target: str | None = url
        for _ in range(MAX_REDIRECTS + 1):
            if target is None:
                break
            response = await self._ask(target, limits, into)
            if response.status not in _REDIRECTS:
                return _checked(response)
            location = _header(response.headers, "location")
            target = None if location is None else urljoin(target, location)
        raise HubAwayError("The hub redirects without an end.")

    def next_page(self, response: OutboundResponse) -> str | None:
        """The address of the page after this one; None when it is the last."""
        found = _NEXT_PAGE.search(_header(response.headers, "link") or "")
        return None if found is None else urljoin(self.url + "/", found.group(1))

    async def _ask(self, url: str, limits: OutboundLimits, into: Path | None) -> OutboundResponse:
        # What the hub redirects to is another host's, which must not learn the token.
        knows_us = self._token is not None and _origin(url) == _origin(self.url)
        headers = {"Authorization": f"Bearer {self._token}"} if knows_us else {}
        try:
            return await self._client.request("GET", url, headers=headers, limits=limits, into=into)
        except (ConnectionFailedError, OutboundTimeoutError, NameNotFoundError) as fault:
            raise HubAwayError(f"The hub cannot be reached: {fault.message}") from fault


def _checked(response: OutboundResponse) -> OutboundResponse | None:
    if response.status == 404:
        return None
    if response.status in {401, 403}:
        raise HubRefusedError(f"The hub refuses access (status {response.status}).")
    if response.status == 429 or response.status >= 500:
        raise HubAwayError(f"The hub answered with status {response.status}. Try again later.")
    if response.status != 200:
        raise HubAnswerError(f"The hub answered with status {response.status}.")
    return response


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
