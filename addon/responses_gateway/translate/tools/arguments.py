"""Translates the arguments of calls while they arrive: by the tool's schema, or to the text of a freeform tool."""

from abc import ABC, abstractmethod

from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.protocol.json_scanner import ObjectScanner, Part, StringDecoder, ValueScanner
from responses_gateway.translate.tools.coercion import Coercer
from responses_gateway.translate.tools.optional_nulls import NullOmitter

NOTHING_CAME = "empty arguments -> {}"


def parsed_arguments(text: str) -> JsonObject:
    """The arguments of a call as an object; an empty one if they are none."""
    try:
        value = loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


class CallArguments(ABC):
    """The arguments of one call, which arrive in pieces: a JSON object, or what a model wrote in its place.

    The results of `feed` and `finish`, joined, are what the client gets.
    """

    def __init__(self) -> None:
        self.repairs: list[str] = []
        """Descriptions of the repairs, for people: `timeout_ms: string "1000" -> integer`."""
        self._scanner = ObjectScanner()
        self._rest: list[str] = []

    @property
    def complete(self) -> bool:
        """Whether the first JSON value, an object, has ended."""
        return self._scanner.complete

    @property
    def cut(self) -> bool:
        """Whether the arguments are incomplete, as far as that can be known."""
        return self._scanner.wants_more

    @property
    def rest(self) -> str:
        """Text after the end of the first object, without white space at its beginning."""
        return "".join(self._rest)

    @abstractmethod
    def feed(self, text: str) -> str:
        """Take the next piece; returns what may be sent to the client now."""

    @abstractmethod
    def finish(self) -> str:
        """What is left to send after the last piece."""


class ArgumentStream(CallArguments):
    """The arguments of one function call, as they arrive in pieces.

    What `feed` and `finish` return, joined, is the arguments string for the client. A value that may need coercion by
    `schema` (the tool's JSON schema) is held until it is complete; everything else goes through at once. Correct
    arguments stay unchanged, byte for byte; so do broken JSON and other values than objects, which the client reports
    to the model itself.

    With `whole_numbers`, `1000.0` becomes `1000` also where a `number` is declared: the same value, but Codex declares
    its unsigned integers as numbers and refuses a fraction.
    """

    def __init__(self, schema: JsonObject | None, *, whole_numbers: bool = False) -> None:
        super().__init__()
        self._coercer = Coercer(schema or {}, self.repairs, whole_numbers=whole_numbers)
        self._schema, self._whole_numbers = schema, whole_numbers
        self._started = False
        self._key: list[str] = []
        self._held: list[str] | None = None
        self._in_value = False
        self._space: list[str] = []
        self._omitter = NullOmitter(schema or {}, self.repairs)
        self._quoted: list[str] | None = None
        """All of an answer that is no object but one string, which may hold the object."""

    def feed(self, text: str) -> str:
        """Take the next piece; returns what may be sent to the client now."""
        out: list[str] = []
        for part, piece, ended in self._scanner.feed(text):
            if part is Part.REST:
                self._rest.append(piece)
            elif part is Part.SPACE and (self.complete or not self._started):
                self._space.append(piece)
            elif part is Part.VALUE:
                out.append(self._value(piece, ended))
            elif self._quoted is not None or (part is Part.BROKEN and not self._started and piece.startswith('"')):
                self._quoted = [*(self._quoted or ()), piece]
            else:
                if part is Part.KEY:
                    self._see_key(piece, ended)
                out.append(self._start() + self._omitter.pass_on(part, piece, ended))
        return "".join(out)

    def finish(self) -> str:
        """What is left to send after the last piece; `{}` when nothing but white space ever came."""
        if self._quoted is not None:
            return self._unquoted("".join([*self._space, *self._quoted]))
        if not self._started:
            self.repairs.append(NOTHING_CAME)
            return "{}"
        held, self._held = self._held or [], None
        space = [] if self._rest else self._space
        return "".join([self._omitter.release(), *held, *space])

    def _unquoted(self, text: str) -> str:
        """The object that a string holds, when that is all that the string is; else `text`."""
        try:
            inner = loads(text)
            encoded = isinstance(inner, str) and isinstance(loads(inner), dict)
        except (ValueError, RecursionError):
            encoded = False
        if not encoded:
            return text
        self.repairs.append("JSON within a string taken out of it")
        stream = ArgumentStream(self._schema, whole_numbers=self._whole_numbers)
        arguments = stream.feed(inner) + stream.finish()
        self.repairs += stream.repairs
        return arguments

    def _start(self) -> str:
        """The white space before the first character, which was held because nothing might have followed it."""
        if self._started:
            return ""
        self._started = True
        space, self._space = "".join(self._space), []
        return space

    def _see_key(self, piece: str, ended: bool) -> None:
        self._key.append(piece)
        if ended:
            decoder = StringDecoder()
            self._coercer.select(decoder.feed("".join(self._key)))
            self._key = []

    def _value(self, piece: str, ended: bool) -> str:
        head = ""
        if not self._in_value:
            self._held = [] if self._coercer.must_see_all(piece[0]) else None
            if self._held is None or piece[0] != "n":
                head = self._omitter.head()
        self._in_value = not ended
        if self._held is None:
            return head + piece
        self._held.append(piece)
        if not ended:
            return head
        value, self._held = "".join(self._held), None
        return head + self._omitter.whole_value(self._coercer.coerce_text(value))


class InputStream(CallArguments):
    """Decodes the input of a custom (freeform) tool out of the one string field of its function, while it arrives.

    The results of `feed` and `finish`, joined, are the input. Other values than the declared object are read as
    far as possible (see `repairs`), else passed on as they came.
    """

    def __init__(self, field: str = "input") -> None:
        super().__init__()
        self._field = field
        self._held: list[str] | None = []
        self._key: list[str] = []
        self._keys = 0
        self._decoder: StringDecoder | None = None
        self._raw = False
        self._bare_string = False

    @property
    def cut(self) -> bool:
        """As for all arguments, but an input whose string has ended is complete."""
        if self._bare_string:
            text = "".join(self._held or []).lstrip()
            return ValueScanner().end(text, 0) < 0
        return super().cut and (self._held is not None or self._decoder is not None)

    def feed(self, text: str) -> str:
        """Take the next piece; returns the decoded characters that are certain now."""
        if self._raw:
            return text
        out: list[str] = []
        for part, piece, ended in self._scanner.feed(text):
            if part is Part.REST:
                self._rest.append(piece)
                continue
            if self._held is not None:
                self._held.append(piece)
            if part is Part.KEY:
                self._see_key(piece, ended)
            elif part is Part.BROKEN:
                out.append(self._broken())
            elif part is Part.VALUE and self._keys == 1:
                out.append(self._value(piece, ended))
            if self.complete and self._held is not None:
                out.append(self._resolve())
        return "".join(out)

    def finish(self) -> str:
        """What is left after the last piece; of a truncated answer, what was not yet given out."""
        return self._resolve() if self._held is not None else ""

    def _see_key(self, piece: str, ended: bool) -> None:
        self._key.append(piece)
        if not ended:
            return
        self._keys += 1
        key, self._key = StringDecoder().feed("".join(self._key)), []
        if self._keys == 1 and key == self._field:
            self._decoder = StringDecoder()
        elif self._held is None:
            self.repairs.append(f'ignored extra field "{key}"')

    def _value(self, piece: str, ended: bool) -> str:
        if self._decoder is None:
            return ""
        if self._held is not None:
            if not piece.startswith('"'):
                self._decoder = None
                return ""
            self._held = None
        decoded = self._decoder.feed(piece)
        if ended:
            self._decoder = None
        return decoded

    def _broken(self) -> str:
        """Not the object it should have been: freeform text, a bare JSON string, or an object with an odd end."""
        if self._held is None:
            self.repairs.append("ignored text that is not JSON after the input")
            return ""
        if self._bare_string:
            return ""
        held = "".join(self._held)
        # A bare string might also be the beginning of a program ("use strict"; …): only the end tells.
        self._bare_string = held.lstrip().startswith('"')
        if self._bare_string:
            return ""
        self._raw, self._held = True, None
        self.repairs.append(f'text instead of {{"{self._field}": …}} taken as it is')
        return held

    def _field_of(self, text: str) -> str | None:
        """The input in the text of the declared object, with nothing else in it."""
        try:
            answer = loads(text)
        except (ValueError, RecursionError):
            return None
        value = answer.get(self._field) if isinstance(answer, dict) and len(answer) == 1 else None
        return value if isinstance(value, str) else None

    def _resolve(self) -> str:
        """The input in what was held: a whole answer that did not begin with the field and a string."""
        held, self._held = "".join(self._held or []), None
        try:
            answer = loads(held)
        except (ValueError, RecursionError):
            answer = None
        if isinstance(answer, str) and (inner := self._field_of(answer)) is not None:
            self.repairs.append("JSON within a string taken out of it")
            return inner
        if isinstance(answer, str):
            self.repairs.append(f'JSON string instead of {{"{self._field}": …}}')
            return answer
        if isinstance(answer, dict):
            strings = {key: value for key, value in answer.items() if isinstance(value, str)}
            if self._field in strings:
                ignored = ", ".join(f'"{key}"' for key in answer if key != self._field)
                self.repairs.append(f"ignored extra field {ignored}")
                return strings[self._field]
            if len(strings) == 1:
                key, value = strings.popitem()
                self.repairs.append(f'field "{key}" taken for "{self._field}"')
                return value
        if held.strip():
            self.repairs.append(f'no string field "{self._field}": the answer is passed on as it is')
        return held
