"""Serves comparisons of two turns, or of two sessions."""

from typing import Any
from urllib.parse import unquote, urlsplit

from responses_gateway.inspection.archive.rows import Filter
from responses_gateway.inspection.pages.compare_view import comparison_of, sessions_compared
from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.source import NotThereError, Reading
from responses_gateway.inspection.pages.turn_page import whole_turn

OFFERED = 200
"""Turns, or sessions, that one can choose from."""


class CompareTurns(Page):
    """`/sessions/ID/turns/TURN/compare?with=OTHER`: OTHER is the id of a turn, or the address of its page."""

    async def get(self, session: str, turn: str) -> None:
        other = _last_part(self.get_query_argument("with", ""))

        def view(reading: Reading) -> dict[str, Any]:
            new = whole_turn(reading, session, turn)
            offered = reading.archive.find(Filter(session=session), limit=OFFERED)
            values = {"turn": new.turn, "offered": [one for one in offered if one.id != turn], "other": other}
            old = reading.archive.turn(other) if other else None
            if other and old is None:
                raise NotThereError(other)
            return {**values, "compared": comparison_of(old, new, reading.now) if old is not None else None}

        await self.show("compare.html", view)


class CompareSessions(Page):
    """`/sessions/ID/compare?with=OTHER`."""

    async def get(self, session: str) -> None:
        other = _last_part(self.get_query_argument("with", ""))

        def view(reading: Reading) -> dict[str, Any]:
            archive = reading.archive
            new = archive.session(session)
            old = archive.session(other) if other else None
            if new is None or (other and old is None):
                raise NotThereError(other)
            offered = [one for one in archive.sessions(limit=OFFERED) if one.id != session]
            compared = None
            if old is not None:
                compared = sessions_compared(old, new, archive.turns(other), archive.turns(session), reading.now)
            return {"session": new, "offered": offered, "other": other, "compared": compared}

        await self.show("compare_sessions.html", view)


def _last_part(text: str) -> str:
    """The id in an address; an id is one itself."""
    return unquote(urlsplit(text).path.rstrip("/").rpartition("/")[2]) if "/sessions/" in text else text
