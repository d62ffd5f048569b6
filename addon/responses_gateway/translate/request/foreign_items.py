"""Calls that another server carried out become the calls and results that a chat model knows.

Clients bring them along when a conversation goes on here that began elsewhere. Ids of calls are those of their items,
so that they stay the same from turn to turn.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.protocol.pictures import picture_address
from responses_gateway.translate.ledger import Ledger

type ForeignItem = (
    wire.WebSearchCall
    | wire.FileSearchCall
    | wire.CodeInterpreterCall
    | wire.ImageGenerationCall
    | wire.Program
    | wire.ProgramOutput
    | wire.MultiAgentCall
    | wire.MultiAgentCallOutput
)

FOREIGN_ITEMS = (
    wire.WebSearchCall,
    wire.FileSearchCall,
    wire.CodeInterpreterCall,
    wire.ImageGenerationCall,
    wire.Program,
    wire.ProgramOutput,
    wire.MultiAgentCall,
    wire.MultiAgentCallOutput,
)

PICTURE_LIMIT = 8 << 20
"""Characters of a picture that a model gets to see: it is sent again in every round."""

_SHOWN = {
    "file_search_call": {"queries", "results"},
    "code_interpreter_call": {"code", "outputs", "container_id"},
    "image_generation_call": {"result", "revised_prompt", "output_format", "error", "action", "size", "quality"},
    "web_search_call": {"action"},
    "program": {"code", "call_id"},
    "program_output": {"result", "call_id"},
    "multi_agent_call": {"action", "arguments", "call_id"},
    "multi_agent_call_output": {"action", "output", "call_id"},
}
"""The fields that reach the model, or say nothing to it."""

_BOOKKEEPING = {"type", "id", "status", "background"}
_NOT_KEPT = "[What was found did not come back with this call.]"
_ENDINGS = {"failed": "[This call failed.]", "incomplete": "[This call was cut off.]"}
"""What the model is told of a call by its status."""


def restored_foreign_item(item: ForeignItem, position: int, ledger: Ledger) -> list[wire.Item]:
    """The items that the model knows in place of `item`, which stands at `position` of the input."""
    for name, value in item.model_dump(exclude_none=True).items():
        if value and name not in _SHOWN[str(item.type)] | _BOOKKEEPING:
            ledger.add("dropped", f"input.{item.type}.{name}", "a chat message has no such field")
    call_id = item.id or f"{item.type}_{position}"
    match item:
        case wire.WebSearchCall():
            return _search(item, call_id, ledger)
        case wire.FileSearchCall():
            found = "\n\n".join(map(_passage, item.results or ())) or _ENDINGS.get(item.status or "", _NOT_KEPT)
            return [_call(call_id, "file_search", {"queries": item.queries}), call_result(call_id, found)]
        case wire.CodeInterpreterCall():
            call = _call(call_id, "code_interpreter", {"code": item.code or ""})
            return [
                call,
                call_result(call_id, _ENDINGS.get(item.status or "", ""), map(_code_output, item.outputs or ())),
            ]
        case wire.ImageGenerationCall():
            return [_made_picture(item, ledger)]
        case wire.Program():
            return [_call(item.call_id or call_id, "program", {"code": item.code})]
        case wire.ProgramOutput():
            said = "\n".join(filter(None, (item.result, _ENDINGS.get(item.status or ""))))
            return [call_result(item.call_id or call_id, said)]
        case wire.MultiAgentCall():
            return [_call(item.call_id or call_id, item.action, item.arguments)]
        case wire.MultiAgentCallOutput():
            return [call_result(item.call_id or call_id, "", [part.model_dump() for part in item.output])]


def picture_parts(item: wire.ImageGenerationCall, ledger: Ledger) -> list[JsonObject]:
    """The picture of an item as content; a note in place of one that cannot be shown."""
    if not item.result:
        return []
    if item.output_format == "svg" or len(item.result) > PICTURE_LIMIT:
        why = "it is no pixel graphic" if item.output_format == "svg" else "it is too large to be sent in every round"
        ledger.add("dropped", "input.image_generation_call.result", why)
        return [_text(f"[The picture is not shown: {why}.]")]
    return [{"type": "input_image", "image_url": picture_address(item.result, item.output_format)}]


def call_result(call_id: str, text: str, parts: Iterable[JsonObject] = ()) -> wire.CallOutput:
    """The result of a call: its text, and other content behind it."""
    content = [*([_text(text)] if text else []), *parts]
    output = text if len(content) == 1 and text else content
    return wire.CallOutput.model_validate({"type": "function_call_output", "call_id": call_id, "output": output})


def _call(call_id: str, name: str, arguments: JsonObject | str) -> wire.FunctionCall:
    text = arguments if isinstance(arguments, str) else dumps_text(arguments)
    return wire.FunctionCall(type="function_call", name=name, arguments=text, call_id=call_id)


def _search(item: wire.WebSearchCall, call_id: str, ledger: Ledger) -> list[wire.Item]:
    action = item.action or {}
    kind, sources = action.get("type"), action.get("sources")
    name = kind if kind in ("open_page", "find_in_page") else "web_search"
    arguments = {key: value for key, value in action.items() if key not in ("type", "sources") and value}
    if name == "web_search" and arguments.get("queries") == [arguments.get("query")]:
        del arguments["queries"]
    found = [source["url"] for source in _objects(sources) if isinstance(source.get("url"), str)]
    if not found:
        ledger.add("dropped", "input.web_search_call", "what it found did not come back with it")
        if not arguments:
            return []
    return [_call(call_id, name, arguments), call_result(call_id, "\n".join(found) or _NOT_KEPT)]


def _passage(result: JsonObject) -> str:
    heading = result.get("filename") or result.get("file_id")
    text = result.get("text")
    return "\n".join([f"[{heading}]" if heading else "", text if isinstance(text, str) else dumps_text(result)]).strip()


def _code_output(output: JsonObject) -> JsonObject:
    match output:
        case {"type": "logs", "logs": str() as logs}:
            return _text(logs)
        case {"type": "image", "url": str() as url}:
            return {"type": "input_image", "image_url": url}
    return _text(dumps_text(output))


def _made_picture(item: wire.ImageGenerationCall, ledger: Ledger) -> wire.Message:
    """A picture that was made without a call that the model could remember: it can only be shown to it."""
    words = f" It shows: {item.revised_prompt}" if item.revised_prompt else ""
    said = f"[A picture that you made.{words}]"
    if not item.result:
        reason = (item.error or {}).get("message")
        said = f"[A picture that you tried to make was not made{f': {reason}' if reason else ''}.{words}]"
    return wire.Message.model_validate({"role": "user", "content": [_text(said), *picture_parts(item, ledger)]})


def _objects(value: Any) -> Sequence[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(text: str) -> JsonObject:
    return {"type": "input_text", "text": text}
