"""Finds where values begin and end in JSON that is still arriving, without parsing them.

Only structural characters are looked at, by regular expressions that jump over everything else, so that a megabyte of
file content inside a string costs one search per piece. Whether the text in between is valid JSON is not checked.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto

_STRING_BODY = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_STRUCTURE = re.compile(r'["{}\[\]]')
_SCALAR_END = re.compile(r'[\s,:{}\[\]"]')
_SPACE = re.compile(r"[ \t\r\n]*")


def _run_end(run: re.Pattern[str], text: str, pos: int) -> int:
    """Where a run that may be empty ends."""
    found = run.match(text, pos)
    return found.end() if found else pos


class ValueScanner:
    """Finds the end of one JSON value that arrives in pieces."""

    __slots__ = ("_depth", "_escaped", "_in_string", "_scalar", "_started")

    def __init__(self) -> None:
        self._started = self._scalar = self._in_string = self._escaped = False
        self._depth = 0

    def end(self, text: str, pos: int) -> int:
        """Scan on from `text[pos]`; returns the index after the value's last character, or -1 when it goes on.

        The first call must be at the value's first character. A number or literal ends before the next delimiter.
        """
        if not self._started and pos < len(text):
            self._started = True
            self._in_string = text[pos] == '"'
            self._depth = int(text[pos] in "{[")
            self._scalar = not self._in_string and not self._depth
            pos += not self._scalar
        if self._scalar:
            delimiter = _SCALAR_END.search(text, pos)
            return delimiter.start() if delimiter else -1
        while pos < len(text):
            if self._in_string:
                pos = self._string(text, pos)
                if pos > 0 and not self._in_string and not self._depth:
                    return pos
            else:
                mark = _STRUCTURE.search(text, pos)
                if mark is None:
                    return -1
                pos = mark.end()
                if mark[0] == '"':
                    self._in_string = True
                else:
                    self._depth += 1 if mark[0] in "{[" else -1
                    if not self._depth:
                        return pos
        return -1

    def _string(self, text: str, pos: int) -> int:
        """The index after the closing quote, or the end of the text."""
        if self._escaped:
            self._escaped = False
            pos += 1
        pos = _run_end(_STRING_BODY, text, pos)
        if pos == len(text):
            return pos
        self._escaped = text[pos] == "\\"
        self._in_string = self._escaped
        return pos + 1


class Part(Enum):
    """The part of an object that a piece of its text belongs to."""

    SPACE = auto()
    PUNCTUATION = auto()
    KEY = auto()
    VALUE = auto()
    REST = auto()
    """Text behind the object, without white space at its beginning."""
    BROKEN = auto()
    """Not an object, or no longer one; everything from here on."""


class _Expect(Enum):
    START = auto()
    KEY_OR_END = auto()
    KEY = auto()
    COLON = auto()
    VALUE = auto()
    COMMA_OR_END = auto()
    AFTER = auto()
    MORE = auto()
    NOTHING = auto()


_PUNCTUATION = {
    (_Expect.START, "{"): _Expect.KEY_OR_END,
    (_Expect.KEY_OR_END, "}"): _Expect.AFTER,
    (_Expect.COLON, ":"): _Expect.VALUE,
    (_Expect.COMMA_OR_END, ","): _Expect.KEY,
    (_Expect.COMMA_OR_END, "}"): _Expect.AFTER,
}
_TO_THE_END = {_Expect.MORE: Part.REST, _Expect.NOTHING: Part.BROKEN}
_KEYS = (_Expect.KEY, _Expect.KEY_OR_END)


class ObjectScanner:
    """Cuts the text of one JSON object, arriving in pieces, into its top-level parts."""

    def __init__(self) -> None:
        self._expect = _Expect.START
        self._value: ValueScanner | None = None
        self._part = Part.KEY

    @property
    def complete(self) -> bool:
        """Whether the object's closing brace has arrived."""
        return self._expect in (_Expect.AFTER, _Expect.MORE)

    @property
    def wants_more(self) -> bool:
        """Whether the object has not ended, and is valid so far."""
        return not self.complete and self._expect is not _Expect.NOTHING

    def feed(self, text: str) -> Iterator[tuple[Part, str, bool]]:
        """Part, its text, and whether a key or value ends with it; the texts joined are the text fed."""
        pos, length = 0, len(text)
        while pos < length:
            if self._value is not None:
                end = self._value.end(text, pos)
                if end < 0:
                    yield self._part, text[pos:], False
                    return
                self._value = None
                yield self._part, text[pos:end], True
                pos = end
                continue
            if self._expect in _TO_THE_END:
                yield _TO_THE_END[self._expect], text[pos:], False
                return
            space = _run_end(_SPACE, text, pos)
            if space > pos:
                yield Part.SPACE, text[pos:space], False
                pos = space
                continue
            after = _PUNCTUATION.get((self._expect, text[pos]))
            if after is not None:
                self._expect = after
                yield Part.PUNCTUATION, text[pos], False
                pos += 1
            elif self._expect is _Expect.AFTER:
                self._expect = _Expect.MORE
            elif not self._begin_value(text[pos]):
                self._expect = _Expect.NOTHING

    def _begin_value(self, first: str) -> bool:
        if self._expect in _KEYS and first == '"':
            self._part, self._expect = Part.KEY, _Expect.COLON
        elif self._expect is _Expect.VALUE and first not in ",:}]":
            self._part, self._expect = Part.VALUE, _Expect.COMMA_OR_END
        else:
            return False
        self._value = ValueScanner()
        return True


_HEX = "[0-9a-fA-F]"
_HIGH = f"u[dD][89abAB]{_HEX}{{2}}"
_LOW_BEGUN = rf"\\(?:u(?:[dD](?:[c-fC-F]{_HEX}?)?)?)?"
_UNFINISHED = rf"(?:\\(?:u{_HEX}{{0,3}})?|\\{_HIGH}(?:{_LOW_BEGUN})?)\Z"
_FINISHED = re.compile(rf"(?:[^\\]++|(?!{_UNFINISHED})\\.)*+", re.DOTALL)
_ESCAPE = re.compile(rf"\\(?:({_HIGH})\\(u[dD][c-fC-F]{_HEX}{{2}})|u({_HEX}{{4}})|(.))", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}


def _decode_escape(escape: re.Match[str]) -> str:
    high, low, unit, short = escape.groups()
    if high:
        return chr(0x10000 + ((int(high[1:], 16) & 0x3FF) << 10) + (int(low[1:], 16) & 0x3FF))
    if unit:
        code = int(unit, 16)
        return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)
    # An escape JSON does not know is meant literally: a regular expression's "\d", a Windows path.
    return _SHORT.get(short, escape[0])


def unescape(text: str) -> str:
    """Decode the inside of a JSON string. Unknown escapes stay as they are; lone surrogates become U+FFFD."""
    return _ESCAPE.sub(_decode_escape, text) if "\\" in text else text


class StringDecoder:
    """Decodes one JSON string that arrives in pieces, each character as soon as it is certain."""

    def __init__(self) -> None:
        self._held = ""
        self._opened = False
        self.closed = False

    def feed(self, text: str) -> str:
        """`text` begins, at the first call, with the opening quote; nothing may follow the closing one."""
        if not self._opened and text:
            self._opened, text = True, text[1:]
        text = self._held + text
        end = _run_end(_STRING_BODY, text, 0)
        if text.startswith('"', end):
            self._held, self.closed = "", True
            return unescape(text[:end])
        end = _run_end(_FINISHED, text, 0)
        self._held = text[end:]
        return unescape(text[:end])
