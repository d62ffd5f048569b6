"""The addon that puts our pages on mitmweb's server. Where there is no mitmweb, it does nothing."""

from urllib.parse import urlsplit, urlunsplit

from mitmproxy import ctx
from mitmproxy.tools.web.master import WebMaster

from responses_gateway.inspection.pages import routes
from responses_gateway.inspection.pages.handler import Asset
from responses_gateway.inspection.pages.session_page import SessionPage
from responses_gateway.inspection.pages.sessions_page import SessionsPage
from responses_gateway.inspection.pages.source import Source
from responses_gateway.inspection.pages.turn_page import TurnPage
from responses_gateway.security.terminal import get_logger

logger = get_logger(__name__)

_PAGES: list[tuple[str, type]] = [
    (routes.SESSIONS, SessionsPage),
    (f"{routes.SESSIONS}/{routes.ID}", SessionPage),
    (f"{routes.SESSIONS}/{routes.ID}/turns/{routes.ID}", TurnPage),
]
"""Pattern of an address, and what answers there; ids in the address are given to its `get`."""


class Pages:
    """The pages about sessions."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def running(self) -> None:
        """mitmproxy calls this when the server is up."""
        if not isinstance(ctx.master, WebMaster):
            return
        means = {"source": self._source}
        pages = [(rf"{pattern}/?", page, means) for pattern, page in _PAGES]
        ctx.master.app.add_handlers(r".*", [(rf"{routes.STATIC}/([\w.-]+)", Asset), *pages])
        logger.info("Sessions are shown at %s", sessions_link(ctx.master))


def sessions_link(master: WebMaster) -> str:
    """The address of the list, with the token when mitmweb's own address has it."""
    return urlunsplit(urlsplit(master.web_url)._replace(path=routes.SESSIONS))
