"""The answer to a compaction request: one `compaction` item in place of the summary that the upstream wrote."""

from responses_gateway.translate.answer.items import Event, NewId, Output
from responses_gateway.translate.reasoning import EnvelopeCodec


class CompactionOutput(Output):
    """Shows one compaction item instead of what the upstream wrote."""

    def __init__(self, new_id: NewId, envelopes: EnvelopeCodec) -> None:
        super().__init__(new_id)
        self._envelopes = envelopes
        self._shown = 0

    def take(self) -> list[Event]:
        shown: list[Event] = []
        for event in super().take():
            match event["type"]:
                case "response.created" | "response.in_progress" | "response.queued":
                    shown.append(event)
                case "response.failed":
                    shown.append({**event, "response": {**event["response"], "output": []}})
                case "response.completed" | "response.incomplete":
                    shown += self._end(event)
        for event in shown:
            event["sequence_number"] = self._shown
            self._shown += 1
        return shown

    def _end(self, event: Event) -> list[Event]:
        response = event["response"]
        summary = "\n\n".join(
            part["text"]
            for item in response["output"]
            if item["type"] == "message"
            for part in item["content"]
            if part["type"] == "output_text"
        )
        if not summary:
            error = {"code": "server_error", "message": "The model wrote no summary of the conversation."}
            failed = {**response, "status": "failed", "output": [], "completed_at": None, "error": error}
            return [{**event, "type": "response.failed", "response": failed}]
        item = {
            "id": self.new_id("cmp"),
            "type": "compaction",
            "encrypted_content": self._envelopes.seal({"summary": summary}),
        }
        done = {**response, "output": [item], "status": "completed", "incomplete_details": None}
        return [
            {"type": "response.output_item.added", "sequence_number": 0, "output_index": 0, "item": item},
            {"type": "response.output_item.done", "sequence_number": 0, "output_index": 0, "item": item},
            {**event, "type": "response.completed", "response": done},
        ]
