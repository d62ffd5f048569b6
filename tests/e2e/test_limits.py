"""Upstreams that never end: each turn ends all the same, and the client is told by which limit."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

import pytest
from openai import DefaultHttpxClient, OpenAI

from e2e.environment import API_KEY
from e2e.gateway import GatewayProcess
from e2e.responses import Outcome, raw
from upstream import Answer, Drip, ScriptedUpstream, call_piece, chunk, done, finish, stream, text

SETTINGS = {
    "gateway_first_byte_timeout": "1",
    "gateway_idle_timeout": "1",
    "gateway_queue_timeout": "2.5",
    "gateway_turn_timeout": "5",
    "gateway_retries": "0",
    "gateway_store": "memory",
}
JSON = {"content-type": "application/json"}
PATIENCE = 60


def drip(part: object) -> Drip:
    return Drip(b"data: " + json.dumps(part).encode() + b"\n\n")


COMMENT = Drip(b": OPENROUTER PROCESSING\n\n")
BLANK = Drip(b"\n")

STREAMS: dict[str, tuple[Answer, str]] = {
    "comments": (stream(COMMENT), "queue"),
    "comments after text": (stream(text("half"), COMMENT), "queue"),
    "blank lines": (stream(BLANK), "queue"),
    "empty deltas": (stream(drip(chunk())), "idle"),
    "empty texts": (stream(drip(chunk({"role": "assistant", "content": ""}))), "idle"),
    "empty calls": (stream(drip(call_piece(0, ""))), "idle"),
    "no JSON": (stream(text("half"), Drip(b"data: {\n\n")), "idle"),
    "one line": (stream(b"data: ", Drip(b"x")), "idle"),
    "text": (stream(drip(text("and on ")[0])), "turn"),
    "a head": (Answer([b"HTTP/1.1 200 OK\r\n", Drip(b"x-more: y\r\n")], 0, framing="until close"), "first_byte"),
    "a page": (Answer([b"<html>", Drip(b"and on ")], headers={"content-type": "text/html"}), "turn"),
}
"""What never ends, and the setting that ends it, for a client that streams."""

WHOLE: dict[str, tuple[Answer, str]] = {
    "blank lines": (Answer([BLANK], headers=JSON), "queue"),
    "an unfinished body": (Answer([b'{"choices": [', Drip(b"1,")], headers=JSON), "turn"),
}
"""The same for a client that takes a whole answer."""

RELAYED: dict[str, tuple[Answer, str]] = {
    "comments": (stream(text("half"), COMMENT), "queue"),
    "empty deltas": (stream(drip(chunk())), "idle"),
    "one line": (stream(b"data: ", Drip(b"x")), "idle"),
    "text": (stream(drip(text("and on ")[0])), "turn"),
}
"""The same for a client of chat/completions."""

ENDED: dict[str, Answer] = {
    "finish_reason": stream(text("Fine."), finish(), COMMENT),
    "[DONE]": stream(text("Fine."), done(), COMMENT),
    "both": stream(text("Fine."), finish(), done(), drip(chunk())),
}
"""Answers whose end has come, although their stream goes on."""


def relay(gateway: GatewayProcess, model: str) -> str:
    """The body of a streamed chat completion."""
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE)) as connection:
        body = {"model": model, "messages": [], "stream": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), JSON)
        return connection.getresponse().read().decode()


def in_background(gateway: GatewayProcess, model: str) -> str:
    """What the error of a background response says."""
    with DefaultHttpxClient(trust_env=False) as http:
        client = OpenAI(api_key=API_KEY, base_url=f"{gateway.url}/v1", http_client=http)
        queued = client.responses.create(model=model, input="hi", background=True, stream=True)
        *_, last = queued
        assert last.type == "response.failed", last
        assert last.response.error is not None
        return last.response.error.message


class Turns:
    """Every turn of this page, at the same time, for each takes its limit."""

    def __init__(self, gateway: GatewayProcess, upstream: ScriptedUpstream, pool: ThreadPoolExecutor) -> None:
        self.streamed: dict[str, Future[Outcome]] = {}
        self.whole: dict[str, Future[Outcome]] = {}
        self.ended: dict[str, Future[Outcome]] = {}
        self.relayed: dict[str, Future[str]] = {}

        def scripted(model: str, answer: Answer) -> str:
            upstream.script(model).answer(answer)
            return model

        for name, (answer, _) in STREAMS.items():
            self.streamed[name] = pool.submit(raw, gateway, scripted(f"stream {name}", answer), True)
        for name, (answer, _) in WHOLE.items():
            self.whole[name] = pool.submit(raw, gateway, scripted(f"whole {name}", answer), False)
        for name, answer in ENDED.items():
            self.ended[name] = pool.submit(raw, gateway, scripted(f"ended {name}", answer), True)
        for name, (answer, _) in RELAYED.items():
            self.relayed[name] = pool.submit(relay, gateway, scripted(f"relayed {name}", answer))
        self.done = pool.submit(relay, gateway, scripted("done", stream(text("Fine."), done(), COMMENT)))
        self.background = pool.submit(in_background, gateway, scripted("background", stream(COMMENT)))


@pytest.fixture(scope="module")
def turns(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Turns]:
    with GatewayProcess(upstream.url, tmp_path_factory.mktemp("limits"), SETTINGS) as gateway:
        with ThreadPoolExecutor(30) as pool:
            yield Turns(gateway, upstream, pool)
        assert not gateway.faults(), gateway.log


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_without_end(turns: Turns, name: str) -> None:
    outcome = turns.streamed[name].result(PATIENCE)
    assert outcome.end in ("response.failed", "refused")
    assert f"s (gateway_{STREAMS[name][1]}_timeout)." in outcome.message


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_without_end(turns: Turns, name: str) -> None:
    outcome = turns.whole[name].result(PATIENCE)
    assert (outcome.end, outcome.status) == ("refused", 504)
    assert f"s (gateway_{WHOLE[name][1]}_timeout)." in outcome.message


@pytest.mark.parametrize("name", RELAYED)
def test_a_relayed_stream_without_end(turns: Turns, name: str) -> None:
    *_, last = turns.relayed[name].result(PATIENCE).removesuffix("\n\n").split("\n\n")
    error = json.loads(last.removeprefix("data: "))["error"]
    assert f"s (gateway_{RELAYED[name][1]}_timeout)." in error["message"]


@pytest.mark.parametrize("name", ENDED)
def test_an_answer_that_has_ended(turns: Turns, name: str) -> None:
    outcome = turns.ended[name].result(PATIENCE)
    assert (outcome.end, outcome.text) == ("response.completed", "Fine.")


def test_a_relayed_answer_that_has_ended(turns: Turns) -> None:
    assert '"error"' not in turns.done.result(PATIENCE)


def test_a_background_response_without_end(turns: Turns) -> None:
    assert "s (gateway_queue_timeout)." in turns.background.result(PATIENCE)


def test_an_error_without_end(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    upstream.script("endless-error").answer(Answer([b"That will not do. ", Drip(b"x" * 65536, 0)], 400))
    outcome = raw(gateway, "endless-error", True)
    assert (outcome.end, outcome.status) == ("refused", 400)
    assert "That will not do." in outcome.message
