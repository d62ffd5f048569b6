"""A Responses conversation as a readable transcript: one block per item."""

from collections.abc import Iterator
from typing import Any

from responses_gateway.inspection.carried_out_calls import given_to, outcome_of
from responses_gateway.inspection.text import indented, pretty, prose, shortened, size
from responses_gateway.protocol.json import JsonObject, loads

TEXT_LIMIT = 8_000
"""Characters of one text that a transcript shows."""


def conversation(request: Any) -> Iterator[str]:
    """The lines of a request's transcript: settings, tools, instructions, then the items in order."""
    if not isinstance(request, dict):
        yield "The request's body is no JSON object."
        return
    yield from _settings(request)
    yield from _tools(request)
    if isinstance(request.get("instructions"), str):
        yield from _block("instructions", [prose(shortened(request["instructions"], TEXT_LIMIT))])
    source = request.get("input")
    if isinstance(source, str):
        yield from _block("user", [prose(shortened(source, TEXT_LIMIT))])
    for item in source if isinstance(source, list) else ():
        yield from item_block(item)


def item_block(item: Any) -> list[str]:
    """One item of an input or an output."""
    if not isinstance(item, dict):
        return _block("item", [pretty(item)])
    kind = str(item.get("type", "message"))
    if kind == "message":
        phase = f" ({item['phase']})" if item.get("phase") else ""
        return _block(f"{item.get('role', '?')}{phase}", list(map(prose, _content(item.get("content")))))
    if kind == "reasoning":
        return _block("reasoning", list(map(prose, _reasoning(item))))
    if kind.endswith("_call_output") or kind == "tool_search_output":
        return _block(f"{kind} {item.get('call_id', '')}".rstrip(), _output(item))
    if kind.endswith("_call"):
        came = _output(item) if isinstance(item.get("output"), str) else _content(outcome_of(item))
        return _block(_call_title(kind, item), [*_arguments(item), *came])
    rest = {name: value for name, value in item.items() if name != "type"}
    return _block(kind, [pretty(rest, TEXT_LIMIT)])


def _block(title: str, texts: list[str]) -> list[str]:
    lines = [f"── {title} " + "─" * max(0, 76 - len(title))]
    for text in texts:
        lines += indented(text)
    return [*lines, ""]


def _settings(request: JsonObject) -> Iterator[str]:
    told = {
        name: value
        for name, value in request.items()
        if name not in ("input", "instructions", "tools") and value is not None
    }
    for name, value in told.items():
        text = value if isinstance(value, str) else pretty(value, 500)
        yield f"{name}: {shortened(' '.join(text.split()), 500)}"
    yield ""


def _tools(request: JsonObject) -> Iterator[str]:
    tools = request.get("tools")
    if not isinstance(tools, list) or not tools:
        return
    yield from _block("1 tool" if len(tools) == 1 else f"{len(tools)} tools", [_tool(tool) for tool in tools])


def _tool(tool: Any) -> str:
    if not isinstance(tool, dict):
        return str(tool)
    inner = tool["function"] if isinstance(tool.get("function"), dict) else tool
    kind = str(tool.get("type", "function"))
    name = str(inner.get("name") or kind)
    parameters = inner.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    signature = f"({', '.join(properties)})" if isinstance(properties, dict) else ""
    nested = tool.get("tools")
    below = f" {{{', '.join(_tool(one) for one in nested)}}}" if isinstance(nested, list) else ""
    return f"{name}{signature}{below}" + ("" if kind == "function" or kind == name else f"  [{kind}]")


def _content(content: Any) -> list[str]:
    if isinstance(content, str):
        return [shortened(content, TEXT_LIMIT)]
    return [_part(part) for part in content] if isinstance(content, list) else []


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return shortened(str(part), TEXT_LIMIT)
    for name in ("text", "refusal"):
        if isinstance(part.get(name), str):
            return shortened(part[name], TEXT_LIMIT)
    kind = str(part.get("type", "part")).removeprefix("input_")
    source = next((part[name] for name in (f"{kind}_url", "file_data", "file_id") if part.get(name)), None)
    if kind in ("image", "file", "audio", "video") and isinstance(source, str):
        name = f" {part['filename']}" if part.get("filename") else ""
        return f"[{kind}{name}: {_source(source)}]"
    if isinstance(part.get("input_audio"), dict):
        return f"[audio: {size(len(str(part['input_audio'].get('data'))) * 3 // 4)}]"
    return pretty(part, 500)


def _source(source: str) -> str:
    if source.startswith("data:"):
        head, _, data = source.partition(",")
        return f"{head.removeprefix('data:').partition(';')[0]}, {size(len(data) * 3 // 4)}"
    return shortened(source, 300)


def _reasoning(item: JsonObject) -> list[str]:
    summary, content = _content(item.get("summary")), _content(item.get("content"))
    texts = summary if summary == content else [*summary, *content]
    sealed = item.get("encrypted_content")
    if isinstance(sealed, str):
        texts.append(f"[sealed: {size(len(sealed))}]")
    return texts


def _call_title(kind: str, item: JsonObject) -> str:
    namespace = f"{item['namespace']}." if item.get("namespace") else ""
    name = f" {namespace}{item['name']}" if item.get("name") else ""
    return f"{kind}{name} {item.get('call_id') or item.get('id') or ''}".rstrip()


def _arguments(item: JsonObject) -> list[str]:
    if isinstance(item.get("input"), str):
        return [shortened(item["input"], TEXT_LIMIT)]
    if (own := given_to(item)) is not None:
        return [pretty(own, TEXT_LIMIT)]
    arguments = next((item[name] for name in ("arguments", "action", "operation") if name in item), None)
    if not isinstance(arguments, str):
        return [] if arguments is None else [pretty(arguments, TEXT_LIMIT)]
    try:
        parsed = loads(arguments)
    except (ValueError, RecursionError):
        return [shortened(arguments, TEXT_LIMIT)]
    texts = [shortened(pretty(parsed, TEXT_LIMIT), TEXT_LIMIT)]
    if isinstance(parsed, dict):
        # Scripts and patches are read as they are, not as JSON strings.
        texts += [f"{name}:\n{shortened(text, TEXT_LIMIT)}" for name, text in parsed.items() if _is_multiline(text)]
    return texts


def _is_multiline(value: object) -> bool:
    return isinstance(value, str) and "\n" in value.strip()


def _output(item: JsonObject) -> list[str]:
    if "tools" in item:
        return [_tool(tool) for tool in item["tools"]] if isinstance(item["tools"], list) else []
    output = outcome_of(item) or item.get("output")
    if isinstance(output, dict):
        return [pretty(output, TEXT_LIMIT)]
    return _content(output)
