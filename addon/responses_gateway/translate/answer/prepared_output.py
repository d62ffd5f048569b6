"""The answer to a request that only prepares the next one (`generate: false`, `prompt_cache_options.prewarm`)."""

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.items import Event, NewId, Output
from responses_gateway.translate.answer.snapshot import Snapshot
from responses_gateway.translate.answer.usage import translate_usage

_BEGINNING = frozenset({"response.created", "response.in_progress", "response.queued"})


def prepared_events(snapshot: Snapshot, now: int) -> list[Event]:
    """All events of such an answer, for which no upstream was asked. `now` in seconds since the epoch."""
    begun = snapshot.render("in_progress")
    done = snapshot.render("completed", usage=translate_usage({}), completed_at=now)
    kinds: list[tuple[str, JsonObject]] = [
        ("response.created", begun),
        ("response.in_progress", begun),
        ("response.completed", done),
    ]
    return [
        {"type": kind, "sequence_number": number, "response": response} for number, (kind, response) in enumerate(kinds)
    ]


class PreparedOutput(Output):
    """Shows an empty response instead of what an upstream wrote that was asked to read the prompt."""

    def __init__(self, new_id: NewId) -> None:
        super().__init__(new_id)
        self._shown = 0

    def take(self) -> list[Event]:
        shown: list[Event] = []
        for event in super().take():
            kind = event["type"]
            if kind in _BEGINNING:
                shown.append(event)
            elif kind == "response.failed":
                shown.append({**event, "response": {**event["response"], "output": []}})
            elif kind in ("response.completed", "response.incomplete"):
                response = {
                    **event["response"],
                    "status": "completed",
                    "output": [],
                    "incomplete_details": None,
                    "completed_at": event["response"]["completed_at"] or event["response"]["created_at"],
                }
                shown.append({**event, "type": "response.completed", "response": response})
        for event in shown:
            event["sequence_number"] = self._shown
            self._shown += 1
        return shown
