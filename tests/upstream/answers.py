"""What the upstream answers: chunk builders, whole answers, and pieces that are not bytes."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from upstream.request import JsonObject, Request

CREATED = 1_700_000_000
Framing = Literal["chunked", "length", "until close"]


class Gate:
    """A place in an answer where the upstream stops until the test opens it (or the client leaves)."""

    def __init__(self) -> None:
        self.opened: Future[None] = Future()
        self._reached: Future[None] = Future()

    def open(self) -> None:
        """Let the answer go on; does nothing when the client left in the meantime."""
        if not self.opened.done():
            self.opened.set_result(None)

    def reach(self) -> None:
        self._reached.set_result(None)

    def wait_reached(self, timeout: float = 60) -> None:
        """Wait until everything before the gate was sent. Raises TimeoutError after `timeout` seconds."""
        try:
            self._reached.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"the upstream did not get to the gate within {timeout} s") from None


@dataclass(frozen=True)
class Cut:
    """The end of the connection in the middle of an answer; over HTTP/2, with `reset`, the end of the stream only."""

    reset: bool
    farewell: bool = False
    """Over HTTP/2, GOAWAY comes before the end."""


@dataclass(frozen=True)
class Drip:
    """The same bytes again and again, until the client leaves."""

    data: bytes
    pause: float = 0.02
    """Seconds between them."""


CUT = Cut(reset=False)
RESET = Cut(reset=True)
GOAWAY = Cut(reset=False, farewell=True)
Piece = bytes | Gate | Cut | Drip


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Each bytes piece is written on its own (one HTTP chunk with the framing "chunked").

    Status 0 is no head: with `CUT` or `RESET` as only piece, the connection ends before the answer begins.
    """

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    framing: Framing = "chunked"


Responder = Answer | Callable[[Request], "Responder"]
"""An answer, or what makes one of the request."""


# Chunks. Each builder gives the JSON object of one chunk; `stream` writes them as server-sent events.


def chunk(delta: JsonObject | None = None, finish_reason: str | None = None, **top_level: Any) -> JsonObject:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "scripted",
        "choices": [choice],
        **top_level,
    }


def text(*pieces: str) -> list[JsonObject]:
    return [chunk({"content": piece}) for piece in pieces]


def reasoning(*pieces: str, field: str = "reasoning_content") -> list[JsonObject]:
    return [chunk({field: piece}) for piece in pieces]


def call_piece(index: int, arguments: str, **more: Any) -> JsonObject:
    """One delta of a tool call; `more` are fields beside `function` (id, type)."""
    return chunk({"tool_calls": [{"index": index, **more, "function": {"arguments": arguments}}]})


@dataclass(frozen=True)
class Call:
    """A tool call of the model; `pieces` are its arguments as they arrive."""

    name: str
    pieces: tuple[str, ...]
    id: str

    def chunks(self, index: int) -> list[JsonObject]:
        head = {"index": index, "id": self.id, "type": "function", "function": {"name": self.name, "arguments": ""}}
        return [chunk({"tool_calls": [head]}), *(call_piece(index, piece) for piece in self.pieces)]

    def message(self) -> JsonObject:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": "".join(self.pieces)}}


def call(name: str, arguments: JsonObject | str, id: str = "call_1", pieces: int = 2) -> Call:
    """A call whose arguments (an object, or any text) arrive in about that many pieces."""
    whole = arguments if isinstance(arguments, str) else json.dumps(arguments)
    step = max(1, -(-len(whole) // pieces))
    return Call(name, tuple(whole[at : at + step] for at in range(0, len(whole), step)), id)


def finish(reason: str = "stop") -> JsonObject:
    return chunk(finish_reason=reason)


def token_counts(prompt: int = 100, completion: int = 20, cached: int = 0, reasoned: int = 0) -> JsonObject:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoned},
    }


def usage(**counts: int) -> JsonObject:
    """The last chunk of `stream_options.include_usage`: no choices."""
    return {**chunk(), "choices": [], "usage": token_counts(**counts)}


def event(data: JsonObject) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def done() -> bytes:
    return b"data: [DONE]\n\n"


# Whole answers.

Part = JsonObject | Piece | Iterable["Part"]


def stream(*parts: Part, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Server-sent events: chunks (or lists of them), raw bytes, gates and cuts, in the order given."""
    return Answer(list(_pieces(parts)), status, {"content-type": "text/event-stream", **(headers or {})})


def _pieces(parts: Iterable[Part]) -> Iterable[Piece]:
    for part in parts:
        match part:
            case bytes() | Gate() | Cut() | Drip():
                yield part
            case dict():
                yield event(part)
            case _:
                yield from _pieces(part)


def completion(body: JsonObject, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON answer."""
    pieces = [json.dumps(body, ensure_ascii=False).encode()]
    return Answer(pieces, status, {"content-type": "application/json", **(headers or {})}, "length")


def error(status: int, message: str, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
    """An error in OpenAI's shape; `more` are fields beside the message (type, code, param)."""
    return completion({"error": {"message": message, **more}}, status, headers)


def reply(
    text: str = "",
    reasoning: str = "",
    calls: Sequence[Call] = (),
    finish_reason: str | None = None,
    **counts: int,
) -> Responder:
    """An ordinary turn of the model, streamed when the request asks for it. `counts` are those of `token_counts`."""
    reason = finish_reason or ("tool_calls" if calls else "stop")

    def answer(request: Request) -> Answer:
        if request.body.get("stream"):
            return stream(
                chunk({"role": "assistant", "content": None}),
                [chunk({"reasoning_content": piece}) for piece in _words(reasoning)],
                [chunk({"content": piece}) for piece in _words(text)],
                [one.chunks(index) for index, one in enumerate(calls)],
                finish(reason),
                usage(**counts),
                done(),
            )
        message: JsonObject = {"role": "assistant", "content": text or None}
        if reasoning:
            message["reasoning_content"] = reasoning
        if calls:
            message["tool_calls"] = [one.message() for one in calls]
        return completion(
            {
                "id": "chatcmpl-scripted",
                "object": "chat.completion",
                "created": CREATED,
                "model": "scripted",
                "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                "usage": token_counts(**counts),
            }
        )

    return answer


def calling(name: str, arguments: JsonObject) -> Responder:
    """The model calls the tool `name`, whatever its wire name is."""
    return lambda request: reply(calls=[call(request.tool(name), arguments)])


def writing(name: str, value: str) -> Responder:
    """The model calls the custom tool `name` with that input."""

    def respond(request: Request) -> Responder:
        wire, arguments = request.freeform(name, value)
        return reply(calls=[call(wire, arguments, pieces=7)])

    return respond


def _words(whole: str) -> list[str]:
    """The text in pieces that begin with a space, as tokens do."""
    words = whole.split(" ")
    return [word if at == 0 else " " + word for at, word in enumerate(words)] if whole else []
