"""The demo model: a small chat/completions server of our own, so that the first minute needs no key.

It streams, it reasons, and when it is offered a shell it runs one harmless command and talks about the result.
"""

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.web

from responses_gateway.protocol.json import JsonObject, dumps, dumps_text, loads

MODEL = "demo"
GREETING = "hello from the demo model"

_SHELL = re.compile(r"(?:^|[^A-Za-z0-9])(?:exec_command|shell|shell_command)$")
_WORD = re.compile(r"\S+")
_COMMAND_PARAMETERS = ("cmd", "command")
_QUOTED_CHARACTERS = 1000
_SECONDS_PER_CHUNK = 0.01


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serve the demo model on a loopback port that the system chooses; gives its base URL."""
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server = tornado.httpserver.HTTPServer(
        tornado.web.Application(
            [("/v1/models", _Models), ("/v1/chat/completions", _ChatCompletions)],
            default_handler_class=_NotFound,
            # What the gateway asks an unknown server is nothing for the user's terminal.
            log_function=lambda _: None,
        )
    )
    server.add_sockets(sockets)
    try:
        yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}/v1"
    finally:
        server.stop()


@dataclass(frozen=True)
class Call:
    """A tool call; `arguments` is the parsed object."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True)
class Answer:
    """What the demo model says to one request: reasoning, then a text or a call."""

    reasoning: str
    text: str = ""
    call: Call | None = None


def answer(request: JsonObject) -> Answer:
    """The demo model's answer to a chat/completions request."""
    messages = request["messages"]
    results = _tool_results(messages)
    if results:
        return Answer(
            "The command has run; I report what it printed.",
            f"The demo model ran a command through your client. It got back:\n\n{results[-1][:_QUOTED_CHARACTERS]}",
        )
    call = _shell_call(request)
    if call:
        return Answer("I am offered a shell, so I show a tool call with a harmless command.", call=call)
    schema = _answer_schema(request)
    if schema is not None:
        return Answer("The answer has to fit a JSON schema.", dumps_text(_example(schema)))
    asked = _text(messages[-1].get("content"))[:_QUOTED_CHARACTERS]
    return Answer(
        "This needs no thought: I only show that everything is connected.",
        "Hello! I am the demo model that is built into the gateway: my replies are canned, but they went through "
        f"the same translation as any other model's. You wrote: “{asked}”. "
        "Start the gateway with --upstream to talk to a real model.",
    )


def _tool_results(messages: list[JsonObject]) -> list[str]:
    """The tool results since the last user message."""
    last_user = max((i for i, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    return [_text(message.get("content")) for message in messages[last_user + 1 :] if message.get("role") == "tool"]


def _shell_call(request: JsonObject) -> Call | None:
    if request.get("tool_choice") == "none":
        return None
    for tool in request.get("tools") or []:
        function = tool.get("function") or {}
        if _SHELL.search(function.get("name", "")):
            return Call(function["name"], _shell_arguments(function.get("parameters") or {}))
    return None


def _shell_arguments(schema: JsonObject) -> JsonObject:
    properties = schema.get("properties") or {}
    parameter = next((name for name in _COMMAND_PARAMETERS if name in properties), _COMMAND_PARAMETERS[0])
    words = ["echo", *GREETING.split()]
    command = words if _type(properties.get(parameter) or {}) == "array" else " ".join(words)
    return {**_example(schema), parameter: command}


def _answer_schema(request: JsonObject) -> JsonObject | None:
    response_format = request.get("response_format") or {}
    if response_format.get("type") == "json_object":
        return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    schema: JsonObject | None = (response_format.get("json_schema") or {}).get("schema")
    return schema


def _example(schema: JsonObject) -> Any:
    """A small value that fits `schema`, for the schemas that a demo meets: no references, no patterns."""
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("anyOf"):
        return _example(schema["anyOf"][0])
    match _type(schema):
        case "object":
            properties = schema.get("properties") or {}
            return {name: _example(properties.get(name) or {}) for name in schema.get("required") or []}
        case "array":
            return [_example(schema.get("items") or {})] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "null":
            return None
    return MODEL


def _type(schema: JsonObject) -> str:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    return kind if isinstance(kind, str) else str(kind[0])


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def completion(request: JsonObject, identity: JsonObject) -> JsonObject:
    """The answer as one chat.completion object; `identity` holds id, created and model."""
    said = answer(request)
    message: JsonObject = {
        "role": "assistant",
        "content": said.text or None,
        "reasoning_content": said.reasoning,
    }
    if said.call:
        message["tool_calls"] = [_tool_call(said.call)]
    choice = {"index": 0, "message": message, "finish_reason": _finish_reason(said)}
    return {**identity, "object": "chat.completion", "choices": [choice], "usage": _usage(request, said)}


def chunks(request: JsonObject, identity: JsonObject) -> Iterator[JsonObject]:
    """The answer as chat.completion.chunk objects, a word at a time."""
    said = answer(request)

    def chunk(delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**identity, "object": "chat.completion.chunk", "choices": [choice]}

    yield chunk({"role": "assistant", "content": None})
    for word in _words(said.reasoning):
        yield chunk({"reasoning_content": word})
    for word in _words(said.text):
        yield chunk({"content": word})
    if said.call:
        call = _tool_call(said.call)
        arguments = call["function"]["arguments"]
        call["function"]["arguments"] = ""
        yield chunk({"tool_calls": [{"index": 0, **call}]})
        for word in _words(arguments):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": word}}]})
    yield chunk({}, _finish_reason(said))
    if (request.get("stream_options") or {}).get("include_usage"):
        yield {**identity, "object": "chat.completion.chunk", "choices": [], "usage": _usage(request, said)}


def _tool_call(call: Call) -> JsonObject:
    function = {"name": call.name, "arguments": dumps_text(call.arguments)}
    return {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": function}


def _finish_reason(said: Answer) -> str:
    return "tool_calls" if said.call else "stop"


def _usage(request: JsonObject, said: Answer) -> JsonObject:
    """Token counts as a real server gives them, at four bytes per token; all messages but the last count as cached."""
    prompt = len(dumps(request["messages"])) // 4
    cached = len(dumps(request["messages"][:-1])) // 4
    reasoning = len(_words(said.reasoning))
    output = reasoning + len(_words(said.text)) + (len(dumps(said.call.arguments)) // 4 if said.call else 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _words(text: str) -> list[str]:
    """The words of a text, each with the white space before it."""
    ends = [word.end() for word in _WORD.finditer(text)]
    if ends:
        ends[-1] = len(text)
    return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class _Handler(tornado.web.RequestHandler):
    def write_error(self, status_code: int, **_: Any) -> None:
        self.fail(status_code, self._reason)

    def fail(self, status: int, message: str) -> None:
        self.set_status(status)
        self._finish_json({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})

    def _finish_json(self, value: JsonObject) -> None:
        self.set_header("content-type", "application/json")
        self.finish(dumps(value))


class _NotFound(_Handler):
    def prepare(self) -> None:
        self.fail(404, f"The demo model has no {self.request.path}.")


class _Models(_Handler):
    def get(self) -> None:
        self._finish_json({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "demo"}]})


class _ChatCompletions(_Handler):
    async def post(self) -> None:
        try:
            request = loads(self.request.body)
        except ValueError as error:
            return self.fail(400, f"The body is not JSON: {error}")
        if not isinstance(request, dict) or not isinstance(request.get("messages"), list) or not request["messages"]:
            return self.fail(400, "messages must be a list with at least one message.")
        model = request.get("model") or MODEL
        identity = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        if not request.get("stream"):
            return self._finish_json(completion(request, identity))
        self.set_header("content-type", "text/event-stream")
        # The client went away, or the gateway stops: either way nobody is left to answer.
        with contextlib.suppress(tornado.iostream.StreamClosedError, asyncio.CancelledError):
            for chunk in chunks(request, identity):
                self.write(b"data: " + dumps(chunk) + b"\n\n")
                await self.flush()
                await asyncio.sleep(_SECONDS_PER_CHUNK)
            self.write(b"data: [DONE]\n\n")
            await self.finish()
        return None
