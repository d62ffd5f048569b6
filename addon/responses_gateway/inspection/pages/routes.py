"""The addresses of the pages. Ids are clients' words: they are quoted, whatever is in them."""

from urllib.parse import quote, urlencode

SESSIONS = "/sessions"
STATIC = "/sessions-static"

ID = "([^/]+)"
"""One id in a pattern for mitmweb's server, which unquotes it."""


def sessions_url(**query: object) -> str:
    """The list, with a filter: names and values of its form; empty ones are left out."""
    given = {name: value for name, value in query.items() if value not in ("", None, False, ())}
    return f"{SESSIONS}?{urlencode(given, doseq=True)}" if given else SESSIONS


def session_url(session: str) -> str:
    return f"{SESSIONS}/{_segment(session)}"


def turn_url(session: str, turn: str) -> str:
    return f"{session_url(session)}/turns/{_segment(turn)}"


def static_url(name: str, version: str = "") -> str:
    """An asset of ours; a new `version` is a new address."""
    return f"{STATIC}/{name}?v={version}" if version else f"{STATIC}/{name}"


def flow_url(flow: str) -> str:
    """A flow in mitmweb's own list."""
    return f"/#/flows/{_segment(flow)}/request"


def _segment(text: str) -> str:
    return quote(text, safe="")
