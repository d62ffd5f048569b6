"""The addresses of the pages. Ids are clients' words: they are quoted, whatever is in them."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

SESSIONS = "/sessions"
STATIC = "/sessions-static"

ID = "([^/]+)"
"""One id in a pattern for mitmweb's server, which unquotes it."""


def sessions_url(**query: object) -> str:
    """The list, with a filter: names and values of its form; empty ones are left out."""
    return SESSIONS + _query(query)


def session_url(session: str, **query: object) -> str:
    """A session, with what its page may be asked for: `thread`, `zoom`, `all`."""
    return f"{SESSIONS}/{_segment(session)}{_query(query)}"


def turn_url(session: str, turn: str) -> str:
    return f"{session_url(session)}/turns/{_segment(turn)}"


def static_url(name: str, version: str = "") -> str:
    """An asset of ours; a new `version` is a new address."""
    return f"{STATIC}/{name}?v={version}" if version else f"{STATIC}/{name}"


def flow_url(flow: str) -> str:
    """A flow in mitmweb's own list."""
    return f"/#/flows/{_segment(flow)}/request"


def _query(query: Mapping[str, object]) -> str:
    given = {name: value for name, value in query.items() if value not in ("", None, False)}
    return f"?{urlencode(given)}" if given else ""


def _segment(text: str) -> str:
    return quote(text, safe="")
