"""Fetches web pages for the model, from the public internet only.

A page or a search result can make a model open any URL, so URLs are not trusted: names are resolved first, only public
addresses are connected to, and every redirect is checked again. The connection goes to the address that was checked, so
a name that resolves differently the second time gains nothing. For the same reason no proxy is used: it would resolve
the name itself.
"""

import asyncio
import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from responses_gateway.hosted.addresses import CheckedAddresses
from responses_gateway.hosted.interface import HostedError
from responses_gateway.hosted.search_engines import within
from responses_gateway.upstream.http_client import HttpClient, HttpResponse

_EXTRACTOR = Path(__file__).with_name("page_text.py")
"""The program that extracts text. It alone needs selectolax, which a bare mitmproxy does not have."""

_REDIRECTS = 5
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_TEXT_TYPES = re.compile(r"text/|application/(xhtml\+xml|xml|json|ld\+json|rss\+xml|atom\+xml)")
_HEADERS = {
    "accept": "text/html, text/plain;q=0.9, text/*;q=0.8, application/json;q=0.7",
    "accept-encoding": "gzip",
    "user-agent": "Mozilla/5.0 (compatible; responses-gateway)",
}
_OF_PYTHON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT")
"""Variables without which some Pythons do not start."""


class PageFetcher:
    """Gets pages as text.

    `private_hosts` may be reached although their addresses are not public (`host` or `host:port`); `limit` is the
    largest number of bytes that is read of a page, `timeout` the seconds that it may take, redirects included.
    """

    def __init__(self, private_hosts: Sequence[str] = (), *, limit: int = 2 << 20, timeout: float = 15) -> None:
        self._addresses = CheckedAddresses(private_hosts)
        self._limit = limit
        self._timeout = timeout

    async def fetch(
        self, url: str, allowed_domains: Sequence[str] = (), blocked_domains: Sequence[str] = ()
    ) -> tuple[str, bool]:
        """The page's readable text, and whether it is all of it. Raises HostedError with what failed."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(url, allowed_domains, blocked_domains)
        except TimeoutError:
            raise HostedError(f"{url} did not answer within {self._timeout:g} seconds") from None
        except (OSError, ValueError) as error:
            raise HostedError(f"{url} could not be read: {error}") from None

    async def _follow(self, url: str, allowed: Sequence[str], blocked: Sequence[str]) -> tuple[str, bool]:
        for _ in range(_REDIRECTS + 1):
            parts = urlsplit(url)
            host = parts.hostname or ""
            if parts.scheme not in ("http", "https") or not host or parts.username is not None:
                raise HostedError(f"{url} is not the address of a web page")
            if (allowed and not within(host, allowed)) or within(host, blocked):
                raise HostedError(f"the client does not allow pages of {host}")
            try:
                port = parts.port or (443 if parts.scheme == "https" else 80)
            except ValueError:
                raise HostedError(f"{url} is not the address of a web page") from None
            addresses = await self._addresses.of(host, port)
            async with HttpClient(addresses) as client, client.request("GET", url, _HEADERS) as response:
                if response.status in _REDIRECT_STATUSES and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                return await self._read(url, response)
        raise HostedError(f"more than {_REDIRECTS} redirects")

    async def _read(self, url: str, response: HttpResponse) -> tuple[str, bool]:
        if response.status != 200:
            raise HostedError(f"{url} answered {response.status}")
        content_type = response.headers.get("content-type", "text/html").lower()
        if not _TEXT_TYPES.match(content_type):
            raise HostedError(f"{url} is no text but {content_type.partition(';')[0]}")
        content, whole = await response.read(self._limit)
        return await _extract(content, content_type), whole


async def _extract(content: bytes, content_type: str) -> str:
    if find_spec("selectolax") is None:
        raise HostedError("the gateway cannot read pages here: selectolax is not installed")
    # -P: the folder of that file must not shadow modules.
    command = (sys.executable, "-P", str(_EXTRACTOR), content_type)
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=nothing, env=_extractors_environment(os.environ)
    )
    try:
        text, _ = await process.communicate(content)
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise HostedError("the page's HTML is too much to read")
    return text.decode()


def _extractors_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What Python needs to start and to find its modules; no keys, because a stranger's page is read."""
    kept = {name: environ[name] for name in _OF_PYTHON if name in environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
