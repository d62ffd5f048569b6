"""What clients get for a turn, through raw HTTP and through openai-python, in one form."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from openai import APIError, APIStatusError, DefaultHttpxClient, OpenAI

from e2e.environment import API_KEY
from e2e.gateway import GatewayProcess

TIMEOUT = 60
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True)
class Outcome:
    """How a turn ended: `end` is the type of the terminal event, or "response" (a whole answer), or "refused"."""

    end: str
    status: int
    code: str | None
    message: str
    text: str = ""
    retry_after: str | None = None


type Client = Callable[[GatewayProcess, str, bool], Outcome]


def raw(gateway: GatewayProcess, model: str, stream: bool) -> Outcome:
    """One turn on a connection of its own, which must still serve another request afterwards."""
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT)) as connection:
        outcome = turn(connection, {"model": model, "input": "hi", "stream": stream})
        connection.request("GET", "/v1/after-the-turn")
        answer = connection.getresponse()
        assert answer.status == 404
        assert json.loads(answer.read())["error"]["message"]
    return outcome


def turn(connection: HTTPConnection, body: dict[str, Any]) -> Outcome:
    """One turn on a connection that stays open."""
    connection.request("POST", "/v1/responses", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.headers["content-type"].startswith("application/json"):
        answer = json.loads(content)
        error = answer.get("error")
        if response.status == 200:
            return Outcome("response", 200, None, "", _text(answer))
        assert set(error) == {"message", "type", "param", "code"}, error
        return Outcome(
            "refused", response.status, error["code"], error["message"], retry_after=response.headers["retry-after"]
        )
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    return outcome_of(list(events(content)))


def events(content: bytes) -> Iterator[dict[str, Any]]:
    frames = content.split(b"\n\n")
    assert frames.pop() == b""
    assert frames.pop() == b"data: [DONE]"
    for frame in frames:
        kind, data = frame.split(b"\n")
        event = json.loads(data.removeprefix(b"data: "))
        assert kind == b"event: " + event["type"].encode()
        yield event


def outcome_of(received: list[dict[str, Any]]) -> Outcome:
    """Exactly one terminal event, at the end, and everything before it consistent with it."""
    assert [event["sequence_number"] for event in received] == list(range(len(received)))
    assert received[0]["type"] == "response.created"
    assert [event["type"] in TERMINAL for event in received] == [False] * (len(received) - 1) + [True]
    end = received[-1]
    response = end["response"]
    error = response["error"] or {}
    deltas = "".join(event["delta"] for event in received if event["type"] == "response.output_text.delta")
    assert _text(response) == deltas
    return Outcome(end["type"], 200, error.get("code"), error.get("message", ""), deltas)


def _text(response: dict[str, Any]) -> str:
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "".join(part.get("text", "") for item in messages for part in item["content"])


def openai_python(gateway: GatewayProcess, model: str, stream: bool) -> Outcome:
    with DefaultHttpxClient(trust_env=False) as http, closing(_openai(gateway, http)) as client:
        try:
            if not stream:
                response = client.responses.create(model=model, input="hi")
                return Outcome("response", 200, None, "", response.output_text)
            received = [
                event.to_dict(mode="json") for event in client.responses.create(model=model, input="hi", stream=True)
            ]
        except APIStatusError as error:
            message = error.body["message"] if isinstance(error.body, dict) else ""
            return Outcome(
                "refused", error.status_code, error.code, message, retry_after=error.response.headers.get("retry-after")
            )
        except APIError as error:
            raise AssertionError(f"openai-python cannot make sense of the stream: {error!r}") from error
        return outcome_of(received)


def _openai(gateway: GatewayProcess, http: Any) -> OpenAI:
    return OpenAI(api_key=API_KEY, base_url=f"{gateway.url}/v1", timeout=TIMEOUT, max_retries=0, http_client=http)
