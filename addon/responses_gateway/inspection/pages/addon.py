"""The addon that puts our pages on mitmweb's server. Where there is no mitmweb, it does nothing."""

import asyncio
from urllib.parse import urlsplit, urlunsplit

from mitmproxy import ctx
from mitmproxy.tools.web.master import WebMaster

from responses_gateway.inspection.archive.archiving import Archiving
from responses_gateway.inspection.asking import Asking
from responses_gateway.inspection.pages import routes
from responses_gateway.inspection.pages.actions import Export, OpenInMitmweb
from responses_gateway.inspection.pages.ask_page import AskPage
from responses_gateway.inspection.pages.compare_page import CompareSessions, CompareTurns
from responses_gateway.inspection.pages.handler import Asset
from responses_gateway.inspection.pages.session_page import SessionPage
from responses_gateway.inspection.pages.sessions_page import SessionsPage
from responses_gateway.inspection.pages.share import ShareSession, ShareTurn
from responses_gateway.inspection.pages.source import Source
from responses_gateway.inspection.pages.templating import prepare
from responses_gateway.inspection.pages.turn_page import TurnPage
from responses_gateway.security.terminal import get_logger

logger = get_logger(__name__)

_SESSION = f"{routes.SESSIONS}/{routes.ID}"
_TURN = f"{_SESSION}/turns/{routes.ID}"

_PAGES: list[tuple[str, type]] = [
    (routes.SESSIONS, SessionsPage),
    (_SESSION, SessionPage),
    (f"{_SESSION}/share", ShareSession),
    (f"{_SESSION}/compare", CompareSessions),
    (f"{_TURN}/share", ShareTurn),
    (f"{_TURN}/compare", CompareTurns),
    (f"{_TURN}/export/([a-z-]+)", Export),
]
"""Pattern of an address, and what answers there; ids in the address are given to its `get`."""


class Pages:
    """The pages about sessions."""

    def __init__(self, source: Source, archiving: Archiving, asking: Asking) -> None:
        self._source = source
        self._archiving = archiving
        self._asking = asking

    def running(self) -> None:
        """mitmproxy calls this when the server is up."""
        if not isinstance(ctx.master, WebMaster):
            return
        means = {"source": self._source}
        pages = [(rf"{pattern}/?", page, means) for pattern, page in _PAGES]
        opens = (f"{_TURN}/open", OpenInMitmweb, {**means, "bring_back": self._archiving.bring_back})
        asking = {**means, "asking": self._asking}
        turns = [(rf"{_TURN}/?", TurnPage, asking), (f"{_TURN}/ask", AskPage, asking)]
        ctx.master.app.add_handlers(r".*", [(rf"{routes.STATIC}/([\w.-]+)", Asset), *pages, *turns, opens])
        asyncio.get_running_loop().run_in_executor(None, prepare)
        logger.info("Sessions are shown at %s", sessions_link(ctx.master))


def sessions_link(master: WebMaster) -> str:
    """The address of the list, with the token when mitmweb's own address has it."""
    return urlunsplit(urlsplit(master.web_url)._replace(path=routes.SESSIONS))
