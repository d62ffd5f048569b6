"""Input items become chat messages.

Chat upstreams insist on an order that clients do not keep: an assistant message with tool calls is followed at once by
one tool message for each call, in the order of the calls. So the items of one assistant turn are gathered first, and
its results are fetched from wherever the client put them. Everything else stays in the client's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.chat import ChatMessage
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES, CarriedReasoning, EnvelopeCodec, reasoning_of
from responses_gateway.translate.request.compaction import expand
from responses_gateway.translate.request.content import ContentTranslator
from responses_gateway.translate.request.reasoning_replay import give_reasoning_back, give_signatures_back
from responses_gateway.translate.request.tool_calls import (
    Call,
    call_id_of,
    chat_tool_call,
    count_calls,
    distinct_ids,
    nine_character_id,
)
from responses_gateway.translate.request.tool_results import (
    EMPTY_RESULT,
    NO_RESULT,
    CallResult,
    ResultsById,
    ResultTranslator,
    result_call_id,
    results_by_call_id,
)
from responses_gateway.translate.tools.table import ToolTable

_BOOKKEEPING = frozenset({"id", "status", "type", "execution"})
"""Fields of items that mean nothing to a model."""


@dataclass(slots=True)
class _Turn:
    """The items of one assistant turn, as far as they were read."""

    reasoning: CarriedReasoning = field(default_factory=CarriedReasoning)
    late_reasoning: CarriedReasoning = field(default_factory=CarriedReasoning)
    """Reasoning behind the text. It belongs to a call that follows, or to another message, which is another turn."""
    texts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    call_ids: set[str | None] = field(default_factory=set)
    answered: bool = False
    """Whether a result of one of the calls was read: what the assistant says next is another turn."""


class MessageTranslator:
    """Translates the input of one request; use a new instance for each request."""

    def __init__(
        self,
        tools: ToolTable,
        profile: Profile,
        card: ModelCard,
        ledger: Ledger,
        *,
        envelopes: EnvelopeCodec = PLAIN_ENVELOPES,
        compaction_envelopes: EnvelopeCodec = PLAIN_ENVELOPES,
    ) -> None:
        self._tools = tools
        self._profile = profile
        self._ledger = ledger
        self._envelopes = envelopes
        self._compaction_envelopes = compaction_envelopes
        self._content = ContentTranslator(profile.messages, card, ledger)
        self._result_translator = ResultTranslator(self._content, tools, ledger)
        self._messages: list[ChatMessage] = []
        self._turn = _Turn()
        self._results: ResultsById = {}
        self._of_calls: set[int] = set()
        """Positions of the results that stand behind their calls, wherever the client put them."""

    def translate(self, instructions: str | None, items: Sequence[wire.Item]) -> list[ChatMessage]:
        """Return the messages of the chat request. Raises GatewayError for an item that cannot be served."""
        self._results, calls = results_by_call_id(items), count_calls(items)
        self._of_calls = {
            position for call_id, results in self._results.items() for position, _ in islice(results, calls[call_id])
        }
        if instructions:
            self._add_system("system", instructions)
        for position, item in enumerate(items):
            self._item(position, item)
        self._end_turn()
        return self._messages

    def _item(self, position: int, item: wire.Item) -> None:
        self._account(item)
        match item:
            case wire.Message(role="assistant"):
                self._assistant_message(item)
            case wire.Message():
                self._end_turn()
                self._message(item)
            case wire.Reasoning():
                self._reasoning(item)
            case (
                wire.FunctionCall()
                | wire.CustomToolCall()
                | wire.ToolSearchCall()
                | wire.LocalShellCall()
                | wire.ShellCall()
                | wire.ApplyPatchCall()
                | wire.ComputerCall()
            ):
                if self._turn.answered:
                    self._end_turn()
                self._turn.calls.append(item)
                self._turn.call_ids.add(call_id_of(item))
            case (
                wire.CallOutput()
                | wire.ShellCallOutput()
                | wire.ApplyPatchCallOutput()
                | wire.ToolSearchOutput()
                | wire.ComputerCallOutput()
            ):
                self._result(position, item)
            case wire.AgentMessage():
                self._end_turn()
                text = self._content.text(item.content, f"input[{position}].content")
                self._add_user(f"Message from agent {item.author} to {item.recipient}:\n{text}")
            case wire.Compaction():
                self._end_turn()
                self._add_user(expand(item, self._compaction_envelopes, self._ledger))
            case wire.AdditionalTools() | wire.ConfigurationUpdate():
                pass  # they are part of the tool table, and of the settings
            case wire.ItemReference():
                raise GatewayError(
                    f"Item with id '{item.id}' not found. Send the item itself.",
                    status=404,
                    code="item_not_found",
                    param=f"input[{position}].id",
                )
            case _:
                kind = getattr(item, "type", None)
                self._ledger.add("dropped", f"input.{kind}", "a chat upstream has nothing like this item")

    def _account(self, item: wire.Item) -> None:
        """Note what an item says that no chat message can say."""
        extra = item.model_extra or {}
        for name in sorted(extra.keys() - _BOOKKEEPING):
            # Who offers tools to a model makes no difference to it.
            lost = not isinstance(item, wire.AdditionalTools)
            self._ledger.add("dropped", f"input.{item.type}.{name}", "a chat message has no such field", loss=lost)
        if extra.get("status") not in (None, "completed"):
            self._ledger.add("dropped", f"input.{item.type}.status", "a chat message has none", loss=False)
        if isinstance(item, wire.Message) and item.phase is not None:
            self._ledger.add("dropped", "input.message.phase", "a chat message has none", loss=False)

    def _assistant_message(self, item: wire.Message) -> None:
        if self._turn.answered:
            self._end_turn()
        elif self._turn.texts and not self._turn.calls:
            late_reasoning, self._turn.late_reasoning = self._turn.late_reasoning, CarriedReasoning()
            self._end_turn()
            self._turn.reasoning = late_reasoning
        text = self._content.text(item.content, "input.content")
        if text:
            self._turn.texts.append(text)

    def _reasoning(self, item: wire.Reasoning) -> None:
        if self._turn.answered:
            self._end_turn()
        reasoning, foreign = reasoning_of(item, self._envelopes)
        if foreign:
            self._ledger.add("dropped", "input.reasoning.encrypted_content", "not written by this gateway")
        if self._turn.texts and not self._turn.calls:
            self._turn.late_reasoning += reasoning
        else:
            self._turn.reasoning += reasoning

    def _result(self, position: int, item: CallResult) -> None:
        if position in self._of_calls:
            self._turn.answered = self._turn.answered or result_call_id(item) in self._turn.call_ids
            return
        self._end_turn()
        content = self._result_translator.translate(item)
        called = (getattr(item, "namespace", None), getattr(item, "name", None))
        name = ".".join(part for part in called if isinstance(part, str) and part)
        label = f"Output of {name or 'a tool call'}" + (f" ({result_call_id(item)})" if result_call_id(item) else "")
        self._ledger.add("repaired", f"input.{item.type}", "the result of no known call; sent as a user message")
        self._add_user(f"{label}:\n{content.text or EMPTY_RESULT}", content.media)

    def _message(self, item: wire.Message) -> None:
        if item.role == "user":
            content = self._content.translate(item.content, "input.content")
            self._add_user(content.text, content.media, content.parts)
            return
        text = self._content.text(item.content, "input.content")
        if not text:
            self._ledger.add("dropped", f"input.{item.role}", "an empty message", loss=False)
            return
        self._add_system(item.role, text)

    def _add_system(self, role: str, text: str) -> None:
        profile = self._profile.messages
        if profile.system == "first" and self._messages:
            if all(message["role"] == "system" for message in self._messages):
                head = self._messages[0]
                head["content"] = f"{head['content']}\n\n{text}"
                self._ledger.add(
                    "changed", f"input.{role}", "joined: the upstream takes one system message", loss=False
                )
            else:
                why = "sent as user: the upstream takes system messages first"
                self._ledger.add("changed", f"input.{role}", why, loss=False)
                self._add_user(text)
            return
        self._bridge()
        if role == "developer" and profile.developer:
            self._messages.append({"role": "developer", "content": text})
        else:
            self._messages.append({"role": "system", "content": text})

    def _bridge(self) -> None:
        """Add an assistant message after a tool result, for an upstream that insists on one there."""
        words = self._profile.messages.bridge
        if words is not None and self._messages and self._messages[-1]["role"] == "tool":
            self._ledger.add("added", "messages.assistant", "words after a tool result: the upstream insists on them")
            self._messages.append({"role": "assistant", "content": words})

    def _add_user(
        self, text: str, media: list[JsonObject] | None = None, parts: list[JsonObject] | None = None
    ) -> None:
        if not text and not media:
            self._ledger.add("dropped", "input.user", "an empty message", loss=False)
            return
        content: str | list[JsonObject] = text
        if media:
            content = parts if parts is not None else [{"type": "text", "text": text}, *media]
        self._bridge()
        self._messages.append({"role": "user", "content": content})

    def _end_turn(self) -> None:
        """Write the messages of the gathered assistant turn, with the results of its calls right behind."""
        turn, self._turn = self._turn, _Turn()
        turn.reasoning += turn.late_reasoning
        if not turn.texts and not turn.calls:
            if turn.reasoning:
                self._ledger.add("dropped", "input.reasoning", "reasoning that led to no answer", loss=False)
            return
        message: ChatMessage = {"role": "assistant", "content": "\n\n".join(turn.texts) or None}
        call_ids = distinct_ids([call_id_of(call) or "call" for call in turn.calls])
        if self._profile.messages.call_ids == "alnum9":
            call_ids = [nine_character_id(call_id) for call_id in call_ids]
        if turn.calls:
            message["tool_calls"] = [
                chat_tool_call(call, call_id, self._tools, self._ledger)
                for call, call_id in zip(turn.calls, call_ids, strict=True)
            ]
            give_signatures_back(
                turn.reasoning, turn.calls, message["tool_calls"], self._profile.reasoning, self._ledger
            )
        give_reasoning_back(turn.reasoning, message, self._profile.reasoning, self._ledger)
        self._messages.append(message)
        media: list[JsonObject] = []
        for call, call_id in zip(turn.calls, call_ids, strict=True):
            media += self._tool_message(call, call_id)
        if media:
            self._add_user("", media, media)

    def _tool_message(self, call: Call, call_id: str) -> list[JsonObject]:
        """Append the result of one call. Returns the media parts that a tool message cannot carry."""
        queue = self._results.get(call_id_of(call) or "")
        if not queue:
            self._ledger.add("added", f"input.{call.type}", "it has no result; a note stands in for it")
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": NO_RESULT})
            return []
        _, result = queue.popleft()
        content = self._result_translator.translate(result)
        if content.media and self._profile.messages.tool_images:
            parts = content.parts
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": parts})
            return []
        text = content.text
        if content.media:
            why = "images moved to a user message after the results"
            self._ledger.add("changed", f"input.{result.type}.output", why, loss=False)
            note = f"[{len(content.media)} attachment(s) of this result follow in the next user message.]"
            text = f"{text}\n{note}" if text else note
        elif not text:
            self._ledger.add("added", f"input.{result.type}.output", "a note instead of an empty result")
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text or EMPTY_RESULT})
        if not content.media:
            return []
        return [{"type": "text", "text": f"[Attachments of the result of {call_id}:]"}, *content.media]
