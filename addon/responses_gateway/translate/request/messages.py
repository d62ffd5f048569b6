"""Input items become chat messages.

What chat upstreams insist on, and clients do not: an assistant message with tool calls is followed at once by one tool
message for each of its calls, in the calls' order. So the items of one assistant turn are gathered first, and the
results are fetched from wherever the client put them. Nothing is moved otherwise: the order is the client's order.
"""

import hashlib
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.chat import ChatMessage, ChatToolCall
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import PLAIN, Seal, Thought, recall
from responses_gateway.translate.repair.request_repairs import as_object
from responses_gateway.translate.request.compaction import expand
from responses_gateway.translate.request.content import Content, ContentTranslator
from responses_gateway.translate.request.tool_result_images import parts_in
from responses_gateway.translate.tools.table import INPUT_FIELD, Kind, ToolTable

NO_RESULT = "[No result was recorded for this call.]"
EMPTY_RESULT = "[The result is empty.]"

_BOOKKEEPING = frozenset({"id", "status", "type", "execution"})
"""Fields of items that say nothing to a model."""

type Call = (
    wire.FunctionCall
    | wire.CustomToolCall
    | wire.ToolSearchCall
    | wire.LocalShellCall
    | wire.ShellCall
    | wire.ApplyPatchCall
)
type Output = wire.CallOutput | wire.ShellCallOutput | wire.ApplyPatchCallOutput | wire.ToolSearchOutput


@dataclass(slots=True)
class _Turn:
    """What one assistant turn has gathered so far."""

    thought: Thought = field(default_factory=Thought)
    afterthought: Thought = field(default_factory=Thought)
    """Reasoning behind the text: it belongs to a call that follows, or to another message, which is another turn."""
    texts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    call_ids: set[str | None] = field(default_factory=set)
    answered: bool = False
    """A result of one of the calls was seen: what the assistant says next is another turn."""


class MessageTranslator:
    """Turns the input of one request into messages; use one instance for one request."""

    def __init__(
        self,
        tools: ToolTable,
        profile: Profile,
        card: ModelCard,
        ledger: Ledger,
        *,
        seal: Seal = PLAIN,
        compaction_seal: Seal = PLAIN,
    ) -> None:
        self._tools = tools
        self._profile = profile
        self._ledger = ledger
        self._seal = seal
        self._compaction_seal = compaction_seal
        self._content = ContentTranslator(profile.messages, card, ledger)
        self._messages: list[ChatMessage] = []
        self._turn = _Turn()
        self._outputs: dict[str, deque[tuple[int, Output]]] = {}
        self._used: set[int] = set()

    def translate(self, instructions: str | None, items: Sequence[wire.Item]) -> list[ChatMessage]:
        """The messages of the chat request. Raises GatewayError for an item that cannot be served."""
        self._outputs = _outputs_by_call_id(items)
        if instructions:
            self._add_system("system", instructions)
        for position, item in enumerate(items):
            self._item(position, item)
        self._end_turn()
        return self._messages

    def _item(self, position: int, item: wire.Item) -> None:
        if item.model_extra:
            for name in item.model_extra.keys() - _BOOKKEEPING:
                self._ledger.add("dropped", f"input.{item.type}.{name}", "a chat message has no such field")
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
            ):
                if self._turn.answered:
                    self._end_turn()
                self._turn.calls.append(item)
                self._turn.call_ids.add(_call_id(item))
            case wire.CallOutput() | wire.ShellCallOutput() | wire.ApplyPatchCallOutput() | wire.ToolSearchOutput():
                self._output(position, item)
            case wire.AgentMessage():
                self._end_turn()
                text = self._content.text(item.content, f"input[{position}].content")
                self._add_user(f"Message from agent {item.author} to {item.recipient}:\n{text}")
            case wire.Compaction():
                self._end_turn()
                self._add_user(expand(item, self._compaction_seal, self._ledger))
            case wire.AdditionalTools():
                pass  # they are part of the tool table
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

    def _assistant_message(self, item: wire.Message) -> None:
        if self._turn.answered:
            self._end_turn()
        elif self._turn.texts and not self._turn.calls:
            afterthought, self._turn.afterthought = self._turn.afterthought, Thought()
            self._end_turn()
            self._turn.thought = afterthought
        text = self._content.text(item.content, "input.content")
        if text:
            self._turn.texts.append(text)

    def _reasoning(self, item: wire.Reasoning) -> None:
        if self._turn.answered:
            self._end_turn()
        thought, foreign = recall(item, self._seal)
        if foreign:
            self._ledger.add("dropped", "input.reasoning.encrypted_content", "not written by this gateway")
        if self._turn.texts and not self._turn.calls:
            self._turn.afterthought += thought
        else:
            self._turn.thought += thought

    def _output(self, position: int, item: Output) -> None:
        if position in self._used:
            return
        if _output_id(item) in self._turn.call_ids:
            self._turn.answered = True
            return
        self._end_turn()
        if position in self._used:
            return
        content = self._result(item)
        name = ".".join(filter(None, (getattr(item, "namespace", None), getattr(item, "name", None))))
        label = f"Output of {name or 'a tool call'}" + (f" ({_output_id(item)})" if _output_id(item) else "")
        self._ledger.add("repaired", f"input.{item.type}", "the result of no known call; sent as a user message")
        self._add_user(f"{label}:\n{content.text or EMPTY_RESULT}", content.media)

    def _message(self, item: wire.Message) -> None:
        if item.role == "user":
            content = self._content.translate(item.content, "input.content")
            self._add_user(content.text, content.media, content.parts)
            return
        text = self._content.text(item.content, "input.content")
        if not text:
            self._ledger.add("dropped", f"input.{item.role}", "an empty message")
            return
        self._add_system(item.role, text)

    def _add_system(self, role: str, text: str) -> None:
        profile = self._profile.messages
        if profile.system == "first" and self._messages:
            if all(message["role"] == "system" for message in self._messages):
                head = self._messages[0]
                head["content"] = f"{head['content']}\n\n{text}"
                self._ledger.add("changed", f"input.{role}", "joined: the upstream takes one system message")
            else:
                self._ledger.add("changed", f"input.{role}", "sent as user: the upstream takes system messages first")
                self._add_user(text)
            return
        self._bridge()
        if role == "developer" and profile.developer:
            self._messages.append({"role": "developer", "content": text})
        else:
            self._messages.append({"role": "system", "content": text})

    def _bridge(self) -> None:
        """Let the assistant speak after a tool result, where the upstream insists on it."""
        words = self._profile.messages.bridge
        if words is not None and self._messages and self._messages[-1]["role"] == "tool":
            self._ledger.add("added", "messages.assistant", "words after a tool result: the upstream insists on them")
            self._messages.append({"role": "assistant", "content": words})

    def _add_user(
        self, text: str, media: list[JsonObject] | None = None, parts: list[JsonObject] | None = None
    ) -> None:
        if not text and not media:
            self._ledger.add("dropped", "input.user", "an empty message")
            return
        content: str | list[JsonObject] = text
        if media:
            content = parts if parts is not None else [{"type": "text", "text": text}, *media]
        self._bridge()
        self._messages.append({"role": "user", "content": content})

    def _end_turn(self) -> None:
        """Emit the gathered assistant turn, its results right behind it."""
        turn, self._turn = self._turn, _Turn()
        turn.thought += turn.afterthought
        if not turn.texts and not turn.calls:
            if turn.thought:
                self._ledger.add("dropped", "input.reasoning", "reasoning that led to no answer")
            return
        message: ChatMessage = {"role": "assistant", "content": "\n\n".join(turn.texts) or None}
        call_ids = _distinct([_call_id(call) or "call" for call in turn.calls])
        if self._profile.messages.call_ids == "alnum9":
            call_ids = [_nine_characters(call_id) for call_id in call_ids]
        if turn.calls:
            message["tool_calls"] = [
                self._call(call, call_id) for call, call_id in zip(turn.calls, call_ids, strict=True)
            ]
            self._sign(message["tool_calls"], turn)
        self._give_back(turn, message)
        self._messages.append(message)
        media: list[JsonObject] = []
        for call, call_id in zip(turn.calls, call_ids, strict=True):
            media += self._tool_message(call, call_id)
        if media:
            self._add_user("", media, media)

    def _sign(self, rendered: list[ChatToolCall], turn: _Turn) -> None:
        """Give signatures back to the calls that they came with."""
        rule = self._profile.reasoning
        if not rule.signatures:
            if turn.thought.calls:
                self._ledger.add("dropped", "input.reasoning", "signatures of calls: the upstream does not take them")
            return
        signatures = turn.thought.calls
        for call, chat_call in zip(turn.calls, rendered, strict=True):
            if extra := signatures.get(call.call_id or ""):
                chat_call["extra_content"] = extra
        if rule.signature_placeholder is not None and "extra_content" not in rendered[0]:
            self._ledger.add("added", "messages.tool_calls", "a placeholder signature: the upstream insists on one")
            rendered[0]["extra_content"] = {"google": {"thought_signature": rule.signature_placeholder}}

    def _give_back(self, turn: _Turn, message: ChatMessage) -> None:
        rule = self._profile.reasoning
        thought = turn.thought
        if rule.replay == "never":
            if thought:
                self._ledger.add("dropped", "input.reasoning", "the upstream does not take earlier reasoning")
            return
        if rule.replay == "details" and thought.details:
            message["reasoning_details"] = thought.details
        elif rule.replay == "details" and thought.text:
            message[rule.field] = thought.text  # type: ignore[literal-required]
        elif rule.replay == "parts" and thought.text:
            thinking: JsonObject = {"type": "thinking", "thinking": [{"type": "text", "text": thought.text}]}
            text = message["content"]
            message["content"] = [thinking, {"type": "text", "text": text}] if text else [thinking]
        elif rule.replay == "text" and (thought.text or rule.placeholder is not None):
            if not thought.text:
                self._ledger.add("added", f"messages.{rule.field}", "a placeholder: the upstream insists on it")
            message[rule.field] = thought.text or rule.placeholder  # type: ignore[literal-required]

    def _call(self, call: Call, call_id: str) -> ChatToolCall:
        kind, namespace, name, arguments = _spoken(call)
        rendered = as_object(arguments)
        if rendered != arguments:
            # Many upstreams parse the calls of the history, and refuse the whole session for one that is broken.
            self._ledger.add("repaired", f"input.{call.type}.arguments", "sent as a JSON object, which they are not")
            arguments = rendered
        wire_name = self._tools.wire_name(kind, namespace, name)
        return {"id": call_id, "type": "function", "function": {"name": wire_name, "arguments": arguments}}

    def _tool_message(self, call: Call, call_id: str) -> list[JsonObject]:
        """Append the result of one call; returns the media parts that a tool message cannot carry."""
        queue = self._outputs.get(_call_id(call) or "")
        if not queue:
            self._ledger.add("added", f"input.{call.type}", "it has no result; a note stands in for it")
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": NO_RESULT})
            return []
        position, output = queue.popleft()
        self._used.add(position)
        content = self._result(output)
        if content.media and self._profile.messages.tool_images:
            parts = content.parts
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": parts})
            return []
        text = content.text
        if content.media:
            self._ledger.add(
                "changed", f"input.{output.type}.output", "images moved to a user message after the results"
            )
            note = f"[{len(content.media)} attachment(s) of this result follow in the next user message.]"
            text = f"{text}\n{note}" if text else note
        elif not text:
            self._ledger.add("added", f"input.{output.type}.output", "a note instead of an empty result")
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text or EMPTY_RESULT})
        if not content.media:
            return []
        return [{"type": "text", "text": f"[Attachments of the result of {call_id}:]"}, *content.media]

    def _result(self, item: Output) -> Content:
        match item:
            case wire.CallOutput(output=dict() as value):
                return Content(dumps_text(value))
            case wire.CallOutput(output=[wire.TextPart(text=text)]) if pictures := parts_in(text):
                self._ledger.add("changed", f"input.{item.type}.output", "pictures taken out of JSON text")
                return self._content.translate(pictures, f"input.{item.type}.output")
            case wire.CallOutput(output=list() as parts):
                return self._content.translate(parts, f"input.{item.type}.output")
            case wire.ShellCallOutput():
                return Content("\n".join(_shell_text(entry) for entry in item.output))
            case wire.ApplyPatchCallOutput():
                return Content(item.output or item.status)
            case wire.ToolSearchOutput():
                return Content(self._found_tools(item))
        raise AssertionError(item)

    def _found_tools(self, item: wire.ToolSearchOutput) -> str:
        """The found tools by the names under which they can be called; their schemas are in the tool list."""
        lines = []
        for tool in item.tools:
            children = tool.get("tools") if tool.get("type") == "namespace" else None
            namespace = str(tool.get("name")) if children is not None else None
            for child in children if isinstance(children, list) else [tool]:
                kind: Kind = "custom" if child.get("type") == "custom" else "function"
                name = self._tools.wire_name(kind, namespace, str(child.get("name")))
                lines.append(f"- {name}: {child.get('description') or ''}".rstrip(": "))
        return "\n".join(["These tools can be called now:", *lines]) if lines else "No tools were found."


def _outputs_by_call_id(items: Sequence[wire.Item]) -> dict[str, deque[tuple[int, Output]]]:
    outputs: dict[str, deque[tuple[int, Output]]] = defaultdict(deque)
    for position, item in enumerate(items):
        if isinstance(item, wire.CallOutput | wire.ShellCallOutput | wire.ApplyPatchCallOutput | wire.ToolSearchOutput):
            call_id = _output_id(item)
            if call_id is not None:
                outputs[call_id].append((position, item))
    return outputs


def _call_id(call: Call) -> str | None:
    return call.call_id if call.call_id is not None else getattr(call, "id", None)


def _distinct(call_ids: list[str]) -> list[str]:
    """Upstreams tell the results of one message apart by id; a repeated one gets a number."""
    seen: dict[str, int] = {}
    distinct = []
    for call_id in call_ids:
        seen[call_id] = seen.get(call_id, 0) + 1
        distinct.append(call_id if seen[call_id] == 1 else f"{call_id}_{seen[call_id]}")
    return distinct


def _nine_characters(call_id: str) -> str:
    """An id in the form that Mistral takes; the same id always gives the same."""
    if len(call_id) == 9 and call_id.isascii() and call_id.isalnum():
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def _output_id(output: Output) -> str | None:
    if output.call_id is None and output.type == "local_shell_call_output":
        return output.id
    return output.call_id


def _spoken(call: Call) -> tuple[Kind, str | None, str, str]:
    """Kind, namespace, name and arguments of a call as the model made it."""
    match call:
        case wire.FunctionCall():
            return "function", call.namespace, call.name, call.arguments
        case wire.CustomToolCall():
            return "custom", call.namespace, call.name, dumps_text({INPUT_FIELD: call.input})
        case wire.ToolSearchCall():
            arguments = call.arguments
            text = arguments if isinstance(arguments, str) else dumps_text(arguments if arguments is not None else {})
            return "tool_search", None, "tool_search", text
        case wire.LocalShellCall():
            action = {key: value for key, value in call.action.items() if key != "type"}
            return "local_shell", None, "local_shell", dumps_text(action)
        case wire.ShellCall():
            return "shell", None, "shell", dumps_text(call.action)
        case wire.ApplyPatchCall():
            return "apply_patch", None, "apply_patch", dumps_text(call.operation)
    raise AssertionError(call)


def _shell_text(entry: JsonObject) -> str:
    streams = [str(entry[key]) for key in ("stdout", "stderr") if entry.get(key)]
    outcome = entry.get("outcome")
    if isinstance(outcome, dict):
        code = outcome.get("exit_code")
        streams.append(f"[exit code {code}]" if outcome.get("type") == "exit" else f"[{outcome.get('type')}]")
    return "\n".join(streams)
