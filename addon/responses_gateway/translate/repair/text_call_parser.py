"""Finds tool calls that a model wrote as text, where the upstream did not parse them.

The table in `text_call_forms` lists the markup of each model family; this module parses it while the text arrives.
Text is held back only while it may still be markup. Everything that is not part of a call comes out unchanged: markup
in code, calls of tools that were not offered, and blocks that do not end.
"""

import re
from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from typing import Any

from responses_gateway.protocol.json import dumps_text
from responses_gateway.protocol.json_scanner import ValueScanner
from responses_gateway.translate.repair.code_spans import CodeSpans
from responses_gateway.translate.repair.text_call_forms import (
    LONGEST_OPENING,
    OPENING,
    OPENINGS,
    PARTIAL_OPENINGS,
    SPACE,
    Body,
    Form,
    Opening,
    Wrapper,
)
from responses_gateway.translate.repair.text_call_patterns import Match, NoMatch, Pattern, match_pattern
from responses_gateway.translate.repair.text_call_values import (
    TextCall,
    TextReasoning,
    calls_in_json,
    is_json_object,
    parameter_value,
)

LONGEST_CALL = 256 * 1024
"""A block of markup longer than this, in characters, is given back as text."""

_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)")
_CHANNEL_END_BEGUN = re.compile(r"<(?:\|[a-z]{0,7}\|?)?\Z")
_RECIPIENT = re.compile(r"\bto=([\w.:/-]+)")
_SOMETHING = re.compile(r"(?=\S)")
_INDEX = re.compile(r":\d+\Z")
_LONGEST_TAG = 64
_STRIDE = 16 * 1024
"""Characters that are parsed at once: the rest of the buffer is copied after every block."""

_CHANNELS = ("analysis", "commentary", "final")


type TextPart = str | TextCall | TextReasoning
"""A part of the answer's text, after parsing; a string is text that is no markup."""


@dataclass(slots=True)
class _Buffer:
    """Text that has arrived and is not parsed yet. `final`: no more will come."""

    text: str = ""
    final: bool = False

    def append(self, part: str) -> None:
        # With a single reference to it CPython grows the string in place, so that many small parts stay linear.
        text, self.text = self.text, ""
        text += part
        self.text = text


@dataclass(slots=True)
class _Progress:
    """A result of the reader of a block: `parts` take the place of the buffer up to `end`."""

    end: int
    parts: list[TextPart] = field(default_factory=list)


type _Reader[T] = Generator[_Progress | None, None, T]
"""Reads the buffer. Yields None when it needs more text, and a _Progress when something is certain."""


class TextCallParser:
    """Parses the text of one answer, which arrives in parts.

    `offered` are the wire names of the tools of the request. A call of any other name stays text; without tools,
    nothing is parsed. White space between two calls comes out as text.
    """

    def __init__(self, offered: Collection[str]) -> None:
        self._offered = frozenset(offered)
        self._buffer = _Buffer()
        self._code = CodeSpans()
        self._block: _Reader[int] | None = None

    def feed(self, text: str) -> list[TextPart]:
        """Parse the next part of the answer. Returns what is certain now, in order."""
        if not text:
            return []
        if not self._offered or (not self._buffer.text and self._block is None and self._code.is_plain(text)):
            return [text]
        out: list[TextPart] = []
        for at in range(0, len(text), _STRIDE):
            self._buffer.append(text[at : at + _STRIDE])
            out += self._drain()
        return out

    def finish(self) -> list[TextPart]:
        """Return what was held back: a call whose JSON is complete and only lacks its end, or text."""
        self._buffer.final = True
        return self._drain()

    def _drain(self) -> list[TextPart]:
        out: list[TextPart] = []
        buffer, sent = self._buffer, 0
        while True:
            if self._block is None:
                start = self._find_opening(sent)
                _add(out, buffer.text[sent:start])
                sent = start
                if start == len(buffer.text) or OPENING.match(buffer.text, start) is None:
                    break
                buffer.text, sent = buffer.text[start:], 0
                self._block = self._read_block()
            try:
                progress = next(self._block)
            except StopIteration as stop:
                self._block = None
                _add(out, buffer.text[: stop.value])
                self._code.skip(buffer.text[: stop.value])
                sent = stop.value
                continue
            if progress is None:
                break
            out += progress.parts
            buffer.text = buffer.text[progress.end :]
        buffer.text = buffer.text[sent:]
        return out

    def _find_opening(self, pos: int) -> int:
        """Return the index of the next opening outside of code, or the end of the text.

        What may still become an opening, at the end of the text, counts as one.
        """
        text = self._buffer.text
        while (pos := self._code.find_markup(text, pos)) < len(text):
            if OPENING.match(text, pos) or (not self._buffer.final and _may_open(text, pos)):
                return pos
            self._code.see_mark()
            pos += 1
        return pos

    def _read_block(self) -> _Reader[int]:
        """Read from an opening, at the beginning of the buffer, to the end of its calls.

        Returns how many characters of the buffer are plain text after all: at least one when no call was found.
        """
        opening, found = yield from self._read_opening()
        if found is None:
            return 1
        wrapper, form = opening.wrapper, opening.form
        if form.body is Body.CHANNEL and (channel := _channel(found)):
            yield _Progress(found.end)
            yield from self._read_channel(channel)
            return 0
        calls_read = 0
        while found is not None:
            end = yield from self._read_call(form, wrapper, found)
            if isinstance(end, int):
                # Text after all: it is not parsed again, except for where a later call begins.
                return min(end, LONGEST_CALL, len(self._buffer.text)) if not calls_read else 0
            yield end
            calls_read += 1
            if wrapper is None:
                return 0
            closing = yield from self._read((SPACE, *wrapper.closing), 0)
            if closing is not None:
                yield _Progress(closing.end)
                return 0
            found = yield from self._read_first([(SPACE, *begin) for begin in form.begins], 0)
        return 0

    def _read_opening(self) -> _Reader[tuple[Opening, Match | None]]:
        """Return the opening that matches at the beginning of the buffer, and its match."""
        candidates = [opening for opening in OPENINGS if self._buffer.text.startswith(opening.first_literal)]
        while True:
            results = [
                match_pattern(opening.begin, self._buffer.text, 0, final=self._buffer.final) for opening in candidates
            ]
            if NoMatch.UNDECIDED not in results:
                matching = ((e, r) for e, r in zip(candidates, results, strict=True) if isinstance(r, Match))
                return next(matching, (candidates[0], None))
            candidates = [e for e, r in zip(candidates, results, strict=True) if r is not NoMatch.NEVER]
            yield None

    def _read(self, pattern: Pattern, pos: int) -> _Reader[Match | None]:
        return (yield from self._read_first([pattern], pos))

    def _read_first(self, patterns: list[Pattern], pos: int) -> _Reader[Match | None]:
        """Return the match of the first of the patterns that matches at `pos`."""
        while True:
            results = [match_pattern(pattern, self._buffer.text, pos, final=self._buffer.final) for pattern in patterns]
            if NoMatch.UNDECIDED not in results:
                return next((result for result in results if isinstance(result, Match)), None)
            yield None

    def _read_call(self, form: Form, wrapper: Wrapper | None, begin: Match) -> _Reader[_Progress | int]:
        """Read one call. Returns the position up to which it turned out to be text when it is none."""
        name = self._name(begin)
        if name is None and form.body is not Body.ENVELOPE:
            return 1
        body = yield from self._read((SPACE, _SOMETHING), begin.end)
        start = body.end if body else begin.end
        calls: list[TextCall] | None
        is_json = self._buffer.text.startswith("{", start) or form.body is Body.ENVELOPE
        if is_json:
            pos = yield from self._read_json(start)
            raw = self._buffer.text[start:pos]
            calls = calls_in_json(raw, form.label, self._known) if name is None else [TextCall(name, raw, form.label)]
        elif form.parameter is not None and name is not None:
            arguments, pos = yield from self._read_parameters(form, form.parameter, begin.end)
            calls = None if arguments is None else [TextCall(name, dumps_text(arguments), form.label)]
        else:
            return start
        if not calls or pos > LONGEST_CALL:
            return pos
        end = yield from self._read_first(list(form.ends), pos)
        if end is not None and end.end > pos:
            return _Progress(end.end, list(calls))
        wrapped = wrapper and (yield from self._read((SPACE, *wrapper.closing), pos))
        # JSON shows its own end, but behind a parameter another one may be missing.
        enough = end or wrapped or (is_json and self._buffer.final and not self._buffer.text[pos:].strip())
        return _Progress(pos, list(calls)) if enough and all(is_json_object(call.arguments) for call in calls) else pos

    def _read_json(self, pos: int) -> _Reader[int]:
        """Return the end of the JSON value at `pos`, or the end of the text when the value is not complete."""
        scanner, seen = ValueScanner(), pos
        while (end := scanner.end(self._buffer.text, seen)) < 0:
            seen = len(self._buffer.text)
            if self._buffer.final or seen > LONGEST_CALL:
                return seen
            yield None
        return end

    def _read_parameters(self, form: Form, opening: Pattern, pos: int) -> _Reader[tuple[dict[str, Any] | None, int]]:
        """Read the parameters of a call. Returns them (None when the call does not end) and where they end."""
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
                return None, len(self._buffer.text)
            value_end, pos = end
            key = found.groups["key"] or ""
            arguments[key.strip()] = parameter_value(self._buffer.text[found.end : value_end], found, trims=form.trims)

    def _read_value(self, form: Form, pos: int, following: list[Pattern]) -> _Reader[tuple[int, int] | None]:
        """Return where a parameter's value ends, and where its closing tag ends.

        A closing tag that is followed by other text is part of the value.
        """
        seen = pos
        while True:
            text = self._buffer.text
            closing = form.parameter_end.search(text, seen)
            if closing is not None:
                found = yield from self._read_first(following, closing.end())
                if found is not None:
                    return closing.start(), closing.end()
                seen = closing.end()
                continue
            if self._buffer.final or len(text) > LONGEST_CALL:
                return None
            seen = max(pos, len(text) - _LONGEST_TAG)
            yield None

    def _read_channel(self, channel: str) -> _Reader[None]:
        """Pass on the content of a harmony channel without a recipient, as it arrives."""
        while True:
            text = self._buffer.text
            end = _CHANNEL_END.search(text)
            begun = None if end or self._buffer.final else _CHANNEL_END_BEGUN.search(text)
            content = text[: end.start() if end else begun.start() if begun else len(text)]
            parts: list[TextPart] = [TextReasoning(content) if channel == "analysis" else content] if content else []
            if content or end:
                yield _Progress(end.end() if end else len(content), parts)
            if end or self._buffer.final:
                return
            yield None

    def _known(self, name: str) -> str | None:
        """Return the offered tool that `name` means: as it is, or without `functions.` and the index of a call."""
        bare = _INDEX.sub("", name)
        for candidate in (name, bare, bare.removeprefix("functions.")):
            if candidate in self._offered:
                return candidate
        return None

    def _name(self, begin: Match) -> str | None:
        name = begin.groups.get("name")
        if name is None:
            recipient = _RECIPIENT.search(f"{begin.groups.get('role') or ''} {begin.groups.get('header') or ''}")
            name = recipient[1] if recipient else ""
        return self._known(name)


def _may_open(text: str, pos: int) -> bool:
    """Whether an opening may begin at `pos` whose end has not arrived yet."""
    return len(text) - pos < LONGEST_OPENING and text[pos:] in PARTIAL_OPENINGS


def _add(out: list[TextPart], text: str) -> None:
    if text and out and isinstance(out[-1], str):
        out[-1] += text
    elif text:
        out.append(text)


def _channel(begin: Match) -> str | None:
    """Return the harmony channel of a message that is for the user, which is one without a recipient."""
    header = begin.groups["header"] or ""
    if _RECIPIENT.search(header) or _RECIPIENT.search(begin.groups.get("role") or ""):
        return None
    return next((channel for channel in _CHANNELS if header.strip() == channel), None)
