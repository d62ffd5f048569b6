"""Healing of tool calls that a model wrote as text, where no parser of the upstream took them out.

The markup of each model family is a row of the table in `markup_forms`; this module reads it from text that arrives in
pieces. Text is held back only while it may still be markup, and everything that is not part of a healed call comes out
as it was: markup in code, calls of tools that were not offered, and blocks that do not end.
"""

import re
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from typing import Any

from responses_gateway.protocol.json import dumps_text, loads
from responses_gateway.protocol.json_scanner import ValueScanner
from responses_gateway.translate.repair.code_spans import CodeSpans
from responses_gateway.translate.repair.text_call_forms import (
    ENTRIES,
    LONGEST_OPENER,
    OPENER,
    OPENER_BEGINNINGS,
    SPACE,
    Body,
    Entry,
    Form,
    Found,
    Outcome,
    Pattern,
    Wrapper,
    match,
)

LONGEST_CALL = 256 * 1024
"""A block of markup longer than this, in characters, is given back as text."""

_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)")
_CHANNEL_END_BEGUN = re.compile(r"<(?:\|[a-z]{0,7}\|?)?\Z")
_RECIPIENT = re.compile(r"\bto=([\w.:/-]+)")
_SOMETHING = re.compile(r"(?=\S)")
_INDEX = re.compile(r":\d+\Z")
_NOT_A_STRING = re.compile(r"\bstring=[\"']?false")
_LONGEST_TAG = 64
_STRIDE = 16 * 1024
"""How much is taken up at once: what is left of the tape is copied after every block."""

_CHANNELS = ("analysis", "commentary", "final")


@dataclass(frozen=True, slots=True)
class TextCall:
    """A tool call found in text: the offered tool's wire name, its arguments as JSON text, and the form it had."""

    name: str
    arguments: str
    form: str


@dataclass(frozen=True, slots=True)
class TextReasoning:
    """Reasoning found in text (harmony's analysis channel), or a piece of it."""

    text: str


type Piece = str | TextCall | TextReasoning


@dataclass(slots=True)
class _Tape:
    """What has arrived and is not dealt with yet."""

    text: str = ""
    final: bool = False

    def append(self, piece: str) -> None:
        # With a single reference to it CPython grows the string in place, so that many small pieces stay linear.
        text, self.text = self.text, ""
        text += piece
        self.text = text


@dataclass(slots=True)
class _Step:
    """What the reader of a block found: `pieces` stand for the tape up to `end`."""

    end: int
    pieces: list[Piece] = field(default_factory=list)


type _Reader[T] = Generator[_Step | None, None, T]
"""Reads the tape; yields None when it needs more of it, and a step when something is certain."""


class MarkupHealer:
    """Finds tool calls that a model wrote as text.

    `offered` are the wire names of the request's tools: a call of any other name stays text, and without tools nothing
    is looked for. White space between two calls comes out as text.
    """

    def __init__(self, offered: Collection[str]) -> None:
        self._offered = frozenset(offered)
        self._tape = _Tape()
        self._code = CodeSpans()
        self._block: _Reader[int] | None = None

    def feed(self, text: str) -> list[Piece]:
        """Take the next piece of the answer; returns what is certain now, in order."""
        if not text:
            return []
        if not self._offered or (not self._tape.text and self._block is None and self._code.is_plain(text)):
            return [text]
        out: list[Piece] = []
        for at in range(0, len(text), _STRIDE):
            self._tape.append(text[at : at + _STRIDE])
            out += self._drain()
        return out

    def finish(self) -> list[Piece]:
        """What is left after the last piece: a call in whole JSON that only lacks its end, or the text held back."""
        self._tape.final = True
        return self._drain()

    def _drain(self) -> list[Piece]:
        out: list[Piece] = []
        tape, sent = self._tape, 0
        while True:
            if self._block is None:
                start = self._find_block(sent)
                _add(out, tape.text[sent:start])
                sent = start
                if start == len(tape.text) or OPENER.match(tape.text, start) is None:
                    break
                tape.text, sent = tape.text[start:], 0
                self._block = self._read_block()
            try:
                step = next(self._block)
            except StopIteration as stop:
                self._block = None
                _add(out, tape.text[: stop.value])
                self._code.skip(tape.text[: stop.value])
                sent = stop.value
                continue
            if step is None:
                break
            out += step.pieces
            tape.text = tape.text[step.end :]
        tape.text = tape.text[sent:]
        return out

    def _find_block(self, pos: int) -> int:
        """The index of the next opener outside of code, of what may become one at the text's end, or that end."""
        text = self._tape.text
        while (pos := self._code.find_markup(text, pos)) < len(text):
            if OPENER.match(text, pos) or (not self._tape.final and _may_open(text, pos)):
                return pos
            self._code.see_mark()
            pos += 1
        return pos

    def _read_block(self) -> _Reader[int]:
        """Read from an opener, at the tape's beginning, to the end of its calls.

        Returns how much of the tape is plain text after all: at least the first character when nothing was found.
        """
        entry, found = yield from self._enter()
        if found is None:
            return 1
        wrapper, form = entry.wrapper, entry.form
        if form.body is Body.CHANNEL and (channel := _channel(found)):
            yield _Step(found.end)
            yield from self._read_channel(channel)
            return 0
        steps = 0
        while found is not None:
            end = yield from self._read_call(form, wrapper, found)
            if isinstance(end, int):
                # Given back: what was read as a call is not read again, except for a later call's beginning.
                return min(end, LONGEST_CALL, len(self._tape.text)) if not steps else 0
            yield end
            steps += 1
            if wrapper is None:
                return 0
            closing = yield from self._read((SPACE, *wrapper.closing), 0)
            if closing is not None:
                yield _Step(closing.end)
                return 0
            found = yield from self._read_first([(SPACE, *begin) for begin in form.begins], 0)
        return 0

    def _enter(self) -> _Reader[tuple[Entry, Found | None]]:
        """The way in that matches at the tape's beginning."""
        candidates = [entry for entry in ENTRIES if self._tape.text.startswith(entry.opener)]
        while True:
            results = [match(entry.begin, self._tape.text, 0, final=self._tape.final) for entry in candidates]
            if Outcome.MORE not in results:
                matching = ((e, r) for e, r in zip(candidates, results, strict=True) if isinstance(r, Found))
                return next(matching, (candidates[0], None))
            candidates = [e for e, r in zip(candidates, results, strict=True) if r is not Outcome.NO]
            yield None

    def _read(self, pattern: Pattern, pos: int) -> _Reader[Found | None]:
        return (yield from self._read_first([pattern], pos))

    def _read_first(self, patterns: list[Pattern], pos: int) -> _Reader[Found | None]:
        """The first of the patterns that matches at `pos`."""
        while True:
            results = [match(pattern, self._tape.text, pos, final=self._tape.final) for pattern in patterns]
            if Outcome.MORE not in results:
                return next((result for result in results if isinstance(result, Found)), None)
            yield None

    def _read_call(self, form: Form, wrapper: Wrapper | None, begin: Found) -> _Reader[_Step | int]:
        """One call, or where it turned out not to be one."""
        name = self._name(begin)
        if name is None and form.body is not Body.ENVELOPE:
            return 1
        body = yield from self._read((SPACE, _SOMETHING), begin.end)
        start = body.end if body else begin.end
        calls: list[TextCall] | None
        is_json = self._tape.text.startswith("{", start) or form.body is Body.ENVELOPE
        if is_json:
            pos = yield from self._read_json(start)
            raw = self._tape.text[start:pos]
            calls = _envelope(raw, form.label, self._known) if name is None else [TextCall(name, raw, form.label)]
        elif form.parameter is not None and name is not None:
            arguments, pos = yield from self._read_parameters(form, form.parameter, begin.end)
            calls = None if arguments is None else [TextCall(name, dumps_text(arguments), form.label)]
        else:
            return start
        if not calls or pos > LONGEST_CALL:
            return pos
        end = yield from self._read_first(list(form.ends), pos)
        if end is not None and end.end > pos:
            return _Step(end.end, list(calls))
        wrapped = wrapper and (yield from self._read((SPACE, *wrapper.closing), pos))
        # JSON tells its own end; behind a parameter another one may be missing.
        enough = end or wrapped or (is_json and self._tape.final and not self._tape.text[pos:].strip())
        return _Step(pos, list(calls)) if enough and all(_is_object(call.arguments) for call in calls) else pos

    def _read_json(self, pos: int) -> _Reader[int]:
        """The end of the JSON value at `pos`, or of what there is of it."""
        scanner, seen = ValueScanner(), pos
        while (end := scanner.end(self._tape.text, seen)) < 0:
            seen = len(self._tape.text)
            if self._tape.final or seen > LONGEST_CALL:
                return seen
            yield None
        return end

    def _read_parameters(self, form: Form, opening: Pattern, pos: int) -> _Reader[tuple[dict[str, Any] | None, int]]:
        """The parameters up to the call's end, None if they have none; and where they end."""
        arguments: dict[str, Any] = {}
        closings = [(SPACE, *wrapper.closing) for wrapper in form.wrappers if wrapper]
        following = [(SPACE, *opening), *form.ends, *closings]
        while True:
            found = yield from self._read((SPACE, *opening), pos)
            if found is None:
                ended = yield from self._read_first(list(form.ends), pos)
                return (arguments if arguments or ended else None), pos
            end = yield from self._read_value(form, found.end, following)
            if end is None:
                return None, len(self._tape.text)
            value_end, pos = end
            key = found.groups["key"] or ""
            arguments[key.strip()] = _parameter(self._tape.text[found.end : value_end], found, trims=form.trims)

    def _read_value(self, form: Form, pos: int, following: list[Pattern]) -> _Reader[tuple[int, int] | None]:
        """Where a parameter's value and its closing tag end; a closing tag within the value is followed by text."""
        seen = pos
        while True:
            text = self._tape.text
            closing = form.parameter_end.search(text, seen)
            if closing is not None:
                found = yield from self._read_first(following, closing.end())
                if found is not None:
                    return closing.start(), closing.end()
                seen = closing.end()
                continue
            if self._tape.final or len(text) > LONGEST_CALL:
                return None
            seen = max(pos, len(text) - _LONGEST_TAG)
            yield None

    def _read_channel(self, channel: str) -> _Reader[None]:
        """The content of a harmony channel without a recipient: passes on as it arrives."""
        while True:
            text = self._tape.text
            end = _CHANNEL_END.search(text)
            begun = None if end or self._tape.final else _CHANNEL_END_BEGUN.search(text)
            content = text[: end.start() if end else begun.start() if begun else len(text)]
            pieces: list[Piece] = [TextReasoning(content) if channel == "analysis" else content] if content else []
            if content or end:
                yield _Step(end.end() if end else len(content), pieces)
            if end or self._tape.final:
                return
            yield None

    def _known(self, name: str) -> str | None:
        """The offered tool that a name means: as it is, or without `functions.` and a call's index."""
        bare = _INDEX.sub("", name)
        for candidate in (name, bare, bare.removeprefix("functions.")):
            if candidate in self._offered:
                return candidate
        return None

    def _name(self, begin: Found) -> str | None:
        name = begin.groups.get("name")
        if name is None:
            recipient = _RECIPIENT.search(f"{begin.groups.get('role') or ''} {begin.groups.get('header') or ''}")
            name = recipient[1] if recipient else ""
        return self._known(name)


def _may_open(text: str, pos: int) -> bool:
    """Whether an opener may have begun at `pos`, of which the text has not all yet."""
    return len(text) - pos < LONGEST_OPENER and text[pos:] in OPENER_BEGINNINGS


def _add(out: list[Piece], text: str) -> None:
    if text and out and isinstance(out[-1], str):
        out[-1] += text
    elif text:
        out.append(text)


def _channel(begin: Found) -> str | None:
    """The harmony channel of a message that is for the user: one without a recipient."""
    header = begin.groups["header"] or ""
    if _RECIPIENT.search(header) or _RECIPIENT.search(begin.groups.get("role") or ""):
        return None
    return next((channel for channel in _CHANNELS if header.strip() == channel), None)


def _parameter(text: str, begin: Found, *, trims: bool) -> Any:
    """A parameter's value: text, unless it says that it is JSON. What the schema wants otherwise is not known here."""
    if _NOT_A_STRING.search(begin.groups.get("attributes") or ""):
        try:
            return loads(text)
        except (ValueError, RecursionError):
            return text
    if trims and len(text) > 1 and text[0] == text[-1] == "\n":
        return text[1:-1]
    return text


def _is_object(text: str) -> bool:
    try:
        return isinstance(loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _envelope(raw: str, label: str, known: Callable[[str], str | None]) -> list[TextCall] | None:
    """The calls of `{"name": …, "arguments": …}` or a list of such, if all of them name offered tools."""
    try:
        value = loads(raw)
    except (ValueError, RecursionError):
        return None
    calls: list[TextCall] = []
    for entry in value if isinstance(value, list) else [value]:
        call = entry.get("function", entry) if isinstance(entry, dict) else None
        if not isinstance(call, dict) or not isinstance(named := call.get("name"), str):
            return None
        name = known(named)
        arguments = call.get("arguments", call.get("parameters"))
        if name is None or not isinstance(arguments, dict | str | None):
            return None
        text = dumps_text(arguments or {}) if not isinstance(arguments, str) else arguments or "{}"
        if not _is_object(text):
            return None
        calls.append(TextCall(name, text, label))
    return calls
