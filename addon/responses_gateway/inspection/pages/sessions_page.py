"""Serves the list of sessions."""

from typing import Any

from responses_gateway.inspection.pages.filtering import Choice
from responses_gateway.inspection.pages.handler import Page
from responses_gateway.inspection.pages.sessions_view import sessions_view
from responses_gateway.inspection.pages.source import Reading


class SessionsPage(Page):
    """`/sessions`."""

    async def get(self) -> None:
        choice = Choice.of(lambda name: self.get_query_argument(name, ""))

        def view(reading: Reading) -> dict[str, Any]:
            return {"view": sessions_view(reading.archive, choice, reading.now)}

        await self.show("sessions.html", view)
