"""What a client demands of an answer, which some upstreams take without a word and ignore."""

from collections.abc import Sequence
from dataclasses import dataclass

from responses_gateway.protocol.chat import ChatMessage
from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer, check
from responses_gateway.translate.request.compaction import asks_for_compaction


class IgnoredChoice(NonCompliantAnswer):
    """The model answered with text where it had to call a tool; asking once more may help."""

    def __init__(self, draft: str, name: str | None) -> None:
        super().__init__(draft, "it calls no tool, although one has to be called")
        self._wanted = f"the function {name}" if name else "one of the functions"

    def correction(self) -> list[ChatMessage]:
        said: list[ChatMessage] = [{"role": "assistant", "content": self.draft}] if self.draft.strip() else []
        return [*said, {"role": "user", "content": f"Call {self._wanted} now, and say nothing else."}]


@dataclass(frozen=True, slots=True)
class Demands:
    """What the client demands of one answer."""

    forced: bool = False
    """Whether a tool has to be called."""

    name: str | None = None
    """The one tool that has to be called; None: any."""

    one_call: bool = False
    """Whether at most one tool may be called."""

    schema: JsonObject | None = None
    """The strict schema that the upstream is asked to enforce."""

    def account(self, items: Sequence[JsonObject], ledger: Ledger) -> None:
        """Note what of it was ignored in an answer of these items, which is complete."""
        called = [str(item.get("name", item["type"])) for item in items if item["type"].endswith("_call")]
        if self.forced and not called:
            ledger.add("changed", "tool_choice", "ignored by the upstream: no tool was called")
        elif self.name and self.name not in called:
            ledger.add("changed", "tool_choice", f"ignored by the upstream: {called[0]} was called, not {self.name}")
        if self.one_call and len(called) > 1:
            ledger.add("changed", "parallel_tool_calls", f"ignored by the upstream: {len(called)} calls came at once")

    def breaks_schema(self, items: Sequence[JsonObject]) -> str | None:
        """What is wrong with the text of a complete answer; None if nothing is, or something else came."""
        if self.schema is None or any(item["type"].endswith("_call") for item in items):
            return None
        parts = [part for item in items if item["type"] == "message" for part in item["content"]]
        if not parts or any(part["type"] != "output_text" for part in parts):
            return None
        return check("".join(part["text"] for part in parts), self.schema)[1]


def demands(request: ResponsesRequest, chat_body: JsonObject, schema: JsonObject | None) -> Demands:
    """What `request` demands of the answer to `chat_body`."""
    if not chat_body.get("tools") or asks_for_compaction(request):
        return Demands(schema=schema)
    choice, name = request.tool_choice, None
    if isinstance(choice, dict):
        inner = choice.get("allowed_tools")
        allowed = inner if isinstance(inner, dict) else choice
        function = choice.get("function")
        if choice.get("type") in ("function", "custom"):
            name = str((function if isinstance(function, dict) else choice).get("name"))
        choice = "required" if name or allowed.get("mode") == "required" else None
    return Demands(choice == "required", name, request.parallel_tool_calls is False, schema)
