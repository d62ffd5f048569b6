"""Items of a conversation as people read them: each one an entry with blocks of HTML, made from escaped text only."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from responses_gateway.inspection.carried_out_calls import given_to, outcome_of
from responses_gateway.inspection.pages.code import code_block
from responses_gateway.inspection.pages.markdown import markdown
from responses_gateway.inspection.text import compact, pretty, shortened, size
from responses_gateway.protocol.json import JsonObject, loads

TEXT_LIMIT = 30_000
"""Characters of one text that are shown."""

OUTPUT_LIMIT = 12_000
"""Characters of one tool's result that are shown."""

IMAGE_LIMIT = 8 << 20
"""Characters of an image's data: URL."""

_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp|avif|bmp);base64,[A-Za-z0-9+/=\s]+\Z")
_COMMANDS = ("cmd", "command", "commands", "script", "code", "chars")
_PATCHES = ("patch", "input", "diff")
_ROLES = {"developer": "instructions", "system": "instructions"}


@dataclass
class Entry:
    """One item, and for a call what came of it."""

    kind: str
    """`user`, `assistant`, `instructions`, `reasoning`, `call`, `result` or `other`."""

    title: str
    line: str
    """What it is, on one line."""

    index: int = -1
    """In the request's input; -1: it belongs to the answer."""

    type: str = ""
    """The item's type, and for messages the role: what entries of the ledger name."""

    blocks: list[Markup] = field(default_factory=list)
    results: list[Markup] = field(default_factory=list)
    failed: str = ""
    """How a call failed; empty when it did not, or nobody knows."""

    is_open: bool = False
    """It still streams."""

    is_new: bool = True
    changes: list[Any] = field(default_factory=list)
    """Entries of the ledger about items of this kind."""

    gist: str = ""
    """Of a result: what was called."""


def entries_of(items: Sequence[tuple[int, Any]], new: Collection[int] = ()) -> list[Entry]:
    """Entries of items with their indexes, in order; the result of a call that is among them is put beside it, unless
    one of the two is among the indexes `new` and the other is not.
    """
    entries: list[Entry] = []
    calls: dict[str, Entry] = {}
    for index, item in items:
        call_id = item.get("call_id") if isinstance(item, dict) else None
        call = calls.get(call_id) if isinstance(call_id, str) else None
        if call is not None and _is_result(item) and (call.index in new) == (index in new):
            call.results += _result(item)
            call.failed = call.failed or _failure(item)
            continue
        entry = entry_of(item, index)
        entries.append(entry)
        if isinstance(call_id, str) and entry.kind == "call":
            calls[call_id] = entry
    return entries


def entry_of(item: Any, index: int = -1) -> Entry:
    """One item of an input or an output."""
    if not isinstance(item, dict):
        return Entry("other", "item", _one_line(compact(item)), index, blocks=[_json(item)])
    entry = _headline(item, index)
    if entry.kind == "reasoning":
        entry.blocks = list(_reasoning(item))
    elif entry.kind == "call":
        entry.blocks = list(_call(item))
        if isinstance(item.get("output"), str):
            entry.results = _result(item)
        else:
            entry.results = list(_content(outcome_of(item), _output))
    elif entry.kind == "result":
        entry.results, entry.failed = _result(item), _failure(item)
    elif entry.kind == "other":
        entry.blocks = [_json({name: value for name, value in item.items() if name != "type"})]
    else:
        entry.blocks = list(_content(item.get("content"), markdown))
    return entry


def outline_of(item: Any, index: int) -> Entry:
    """One item without its blocks: cheap, whatever its size."""
    if isinstance(item, dict):
        return _headline(item, index)
    return Entry("other", "item", "", index)


def _headline(item: JsonObject, index: int) -> Entry:
    kind = str(item.get("type", "message"))
    if kind == "message":
        role = str(item.get("role", "?"))
        shown = _ROLES.get(role, role if role in ("user", "assistant") else "other")
        title = f"{role} ({item['phase']})" if item.get("phase") else role
        return Entry(
            shown if shown != "other" else "user", title, _one_line(_first_text(item.get("content"))), index, role
        )
    if kind == "reasoning":
        words = _first_text(item.get("summary")) or _first_text(item.get("content"))
        return Entry("reasoning", "Reasoning", _one_line(words), index, kind)
    if _is_result(item):
        return Entry(
            "result", f"Result of {_name(item)}".strip(), _one_line(_first_text(item.get("output"))), index, kind
        )
    if kind.endswith("_call"):
        return Entry("call", _name(item) or kind, _one_line(_gist(item)), index, kind)
    return Entry("other", kind, "", index, kind)


def _is_result(item: Any) -> bool:
    kind = str(item.get("type")) if isinstance(item, dict) else ""
    return kind.endswith("_call_output") or kind == "tool_search_output"


def _name(item: JsonObject) -> str:
    space = f"{item['namespace']}." if item.get("namespace") else ""
    name = item.get("name") or (item.get("call_id") if _is_result(item) else str(item.get("type")))
    return f"{space}{name or ''}"


def _first_text(content: Any) -> str:
    """The beginning of the first text in some content."""
    if isinstance(content, str):
        return content[:400]
    for part in content if isinstance(content, list) else ():
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str) and text:
            return text[:400]
    return ""


def _one_line(text: str, limit: int = 140) -> str:
    line = " ".join(text[:400].split())
    return line if len(line) <= limit else f"{line[:limit]}…"


# Contents -------------------------------------------------------------------------------------------------------------


def _content(content: Any, render: Callable[[str], Markup]) -> Iterator[Markup]:
    if isinstance(content, str):
        yield _limited(content, render)
    for part in content if isinstance(content, list) else ():
        yield _part(part, render)


def _part(part: Any, render: Callable[[str], Markup]) -> Markup:
    if not isinstance(part, dict):
        return _limited(str(part), render)
    for name in ("text", "refusal"):
        if isinstance(part.get(name), str):
            return _limited(part[name], render)
    source = part.get("image_url")
    if isinstance(source, dict):
        source = source.get("url")
    return _image(source) if isinstance(source, str) else _json(part)


def _limited(text: str, render: Callable[[str], Markup], limit: int = TEXT_LIMIT) -> Markup:
    if len(text) <= limit:
        return render(text)
    more = Markup('<p class="soft cut">{:,} characters more are in the request.</p>').format(len(text) - limit)
    return render(text[:limit]) + more


def _image(source: str) -> Markup:
    """Only what is in the text itself is shown: to load another picture would tell its owner that somebody looks."""
    if len(source) <= IMAGE_LIMIT and _IMAGE.match(source):
        return Markup('<img class="picture" alt="An image of the conversation" src="{}">').format(source)
    return Markup('<p class="soft">Image: <span class="code">{}</span></p>').format(shortened(source, 300))


def _reasoning(item: JsonObject) -> Iterator[Markup]:
    summary, content = list(_content(item.get("summary"), markdown)), list(_content(item.get("content"), markdown))
    yield from summary if summary == content else [*summary, *content]
    sealed = item.get("encrypted_content")
    if isinstance(sealed, str) and sealed:
        yield Markup('<p class="soft">Sealed for the upstream: {}.</p>').format(size(len(sealed)))


def _json(value: Any) -> Markup:
    return code_block(shortened(pretty(value, 2_000), TEXT_LIMIT))


# Calls ----------------------------------------------------------------------------------------------------------------


def _arguments(item: JsonObject) -> Any:
    """What a call was given: parsed when it is JSON; None when it was given nothing."""
    if (own := given_to(item)) is not None:
        return own
    for name in ("input", "arguments", "action", "operation"):
        value = item.get(name)
        if isinstance(value, str) and value:
            try:
                return loads(value) if name == "arguments" else value
            except (ValueError, RecursionError):
                return value
        if value is not None and not isinstance(value, str):
            return value
    return None


def _gist(item: JsonObject) -> str:
    """The command of a call, or all it was given."""
    given = _arguments(item) if len(str(item.get("arguments", ""))) < 100_000 else str(item["arguments"])[:400]
    if isinstance(given, dict):
        return next((text for name in _COMMANDS if (text := command_of(given.get(name)))), compact(given)[:400])
    return given[:400] if isinstance(given, str) else ""


def command_of(value: Any) -> str:
    """A command line: clients give it as a text, or as a list of words."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        is_wrapped = len(value) == 3 and value[1] in ("-c", "-lc")
        return str(value[2]) if is_wrapped else " ".join(value)
    return ""


def _call(item: JsonObject) -> Iterator[Markup]:
    given = _arguments(item)
    if isinstance(given, str):
        yield code_block(shortened(given, TEXT_LIMIT))
    if not isinstance(given, dict):
        return
    rest = dict(given)
    for name in _COMMANDS:
        if command := command_of(rest.get(name)):
            yield Markup('<pre class="command"><code>{}</code></pre>').format(shortened(command, TEXT_LIMIT))
            del rest[name]
    for name, value in list(rest.items()):
        if isinstance(value, str) and (name in _PATCHES or "\n" in value.strip()):
            yield Markup('<div class="soft small">{}</div>').format(name) + code_block(shortened(value, TEXT_LIMIT))
            del rest[name]
    if rest:
        yield _plain(rest)


def _plain(values: JsonObject) -> Markup:
    """Short arguments on one line, others as JSON."""
    line = compact(values)
    return Markup('<p class="code soft">{}</p>').format(line) if len(line) <= 300 else _json(values)


def _result(item: JsonObject) -> list[Markup]:
    if "tools" in item:
        return [_json(item["tools"])]
    if shown := outcome_of(item):
        return list(_content(shown, _output))
    output = _unwrapped(item.get("output"))
    if isinstance(output, dict):
        return [_json(output)]
    return list(_content(output, _output)) or [Markup('<p class="soft">It says nothing.</p>')]


def _output(text: str) -> Markup:
    return Markup('<pre class="output">{}</pre>').format(shortened(text, OUTPUT_LIMIT))


def _unwrapped(output: Any) -> Any:
    """What a shell printed, of clients that wrap it into JSON."""
    if isinstance(output, str) and output[:1] == "{" and len(output) < 1_000_000:
        try:
            inner = loads(output)
        except (ValueError, RecursionError):
            return output
        if isinstance(inner, dict) and isinstance(inner.get("output"), str):
            return inner["output"]
    return output


_EXIT = re.compile(r"(?:\"exit_code\": ?|[Ee]xit(?:ed with)? code:? )(-?\d+)")


def _failure(item: JsonObject) -> str:
    """Whether a command says that it failed: clients write its exit code near the beginning or the end."""
    output = item.get("output")
    text = f"{output[:300]}\n{output[-200:]}" if isinstance(output, str) else ""
    found = _EXIT.search(text)
    return f"exit code {found[1]}" if found and found[1] != "0" else ""
