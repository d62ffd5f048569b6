"""Serves one session."""

from typing import Any

from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.source import Reading


class SessionPage(Page):
    """`/sessions/ID`."""

    async def get(self, session: str) -> None:
        def view(reading: Reading) -> dict[str, Any]:
            found = reading.archive.session(session)
            if found is None:
                raise LookupError(session)
            return {"session": found, "turns": reading.archive.turns(session)}

        await self.show("session.html", view)
