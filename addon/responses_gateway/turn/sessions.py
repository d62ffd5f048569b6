"""What the gateway remembers of running sessions, in memory, up to a limit. Nothing breaks when one is forgotten."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from responses_gateway.protocol.chat import ChatTool
from responses_gateway.protocol.client_headers import CONVERSATION, SESSION, THREAD, ClientFields
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.translate.request.chat_request import FormatNote

SESSION_LIMIT = 256
"""Sessions that are remembered; the one not used for longest goes first."""


@dataclass(slots=True)
class Session:
    """One conversation thread of a client."""

    id: str
    tools: list[ChatTool] = field(default_factory=list)
    """What was last offered to the upstream."""

    format_note: FormatNote | None = None
    """Where the last request told the model the format of its answer."""


class Sessions:
    """The sessions by owner and id, least recently used first."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, owner: str, session_id: str) -> Session:
        """The session, new or known. Clients choose ids, so the same id of another owner is another session."""
        key = owner, session_id
        # Large requests ask from threads of their own.
        with self._lock:
            session = self._sessions.get(key) or Session(session_id)
            self._sessions[key] = session
            self._sessions.move_to_end(key)
            while len(self._sessions) > SESSION_LIMIT:
                self._sessions.popitem(last=False)
            return session


def session_id(request: ResponsesRequest, headers: Mapping[str, str]) -> str | None:
    """The id of the thread that a request belongs to; None when the client names none."""
    said = ClientFields(headers, request.client_metadata)
    return said.get(THREAD, CONVERSATION, SESSION) or request.prompt_cache_key or None
