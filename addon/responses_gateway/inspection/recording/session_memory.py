"""What is remembered of running sessions to number their turns and compare their requests, in memory and bounded."""

from collections import OrderedDict
from dataclasses import dataclass

from responses_gateway.inspection.recording.prefix import Fingerprint

SESSION_LIMIT = 256
"""Sessions that are remembered; the one not used for longest goes first."""


@dataclass(slots=True)
class RememberedSession:
    """One conversation thread of a client."""

    turns: int = 0
    """Requests so far."""

    sent: Fingerprint | None = None
    """The latest request to the upstream."""


class SessionMemory:
    """The sessions by owner and id, least recently used first. For the event loop's thread only."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[str, str], RememberedSession] = OrderedDict()

    def get(self, owner: str, session_id: str) -> RememberedSession:
        """The session, new or known. Clients choose ids, so the same id of another owner is another session."""
        key = owner, session_id
        session = self._sessions.setdefault(key, RememberedSession())
        self._sessions.move_to_end(key)
        while len(self._sessions) > SESSION_LIMIT:
            self._sessions.popitem(last=False)
        return session
