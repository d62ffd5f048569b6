"""What the gateway mends by itself within one response: refused requests, passing faults, silence, and its own end."""

# ruff: noqa: E501 (a row of a table is one line)

import gzip
import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

from e2e.codex import Codex
from e2e.gateway import GatewayProcess, StartGateway
from e2e.responses import Client, Outcome, openai_python, raw, turn
from e2e.test_streaming import ends, events, open_stream, until
from upstream import (
    CUT,
    RESET,
    Answer,
    Ending,
    Gate,
    Responder,
    Script,
    ScriptedUpstream,
    done,
    error,
    finish,
    reply,
    stream,
    text,
)

CLIENTS = pytest.mark.parametrize("client", [raw, openai_python])
STREAM = pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
FINE = reply(text="Fine.")


def said(outcome: Outcome) -> bool:
    return outcome.text == "Fine." and outcome.end in ("response", "response.completed")


TRANSIENT: dict[str, Responder] = {
    "502": error(502, "bad gateway"),
    "503": error(503, "later"),
    "504": error(504, "timeout"),
    "529": error(529, "overloaded"),
    "429 told": error(429, "slow", {"retry-after": "0.05"}),
    "429 in words": error(429, "Please try again in 20ms."),
    "hung up": Answer([CUT], 0),
    "reset": Answer([RESET], 0),
}


@pytest.mark.parametrize("name", TRANSIENT)
@STREAM
@CLIENTS
def test_retry(gateway: GatewayProcess, script: Script, name: str, streaming: bool, client: Client) -> None:
    script.answer(TRANSIENT[name], FINE)
    assert said(client(gateway, script.model, streaming))
    first, second = script.requests
    assert first.raw == second.raw


IN_BAND: dict[str, Responder] = {
    "overload": stream({"error": {"message": "The model is overloaded", "code": 503}}),
    "empty": stream(finish(), done()),
    "really empty": stream(),
    "cut at once": stream(CUT),
}


@pytest.mark.parametrize("name", IN_BAND)
def test_retry_after_the_stream_began(gateway: GatewayProcess, script: Script, name: str) -> None:
    script.answer(IN_BAND[name], FINE)
    assert said(raw(gateway, script.model, True))


def test_no_retry_once_something_was_shown(gateway: GatewayProcess, script: Script) -> None:
    script.answer(stream(text("half"), CUT))
    assert raw(gateway, script.model, True).end == "response.failed"


def test_an_answer_that_stays_empty_fails(gateway: GatewayProcess, script: Script) -> None:
    script.answer(stream(finish(), done()), stream(finish(), done()))
    outcome = raw(gateway, script.model, True)
    assert (outcome.end, outcome.code) == ("response.failed", "server_error")


def test_retries_end(gateway: GatewayProcess, script: Script) -> None:
    script.answer(*[error(503, "later")] * 3)
    assert raw(gateway, script.model, True).status == 503


def test_fallback(start_gateway: StartGateway, upstream: ScriptedUpstream, script: Script) -> None:
    other = upstream.script("the-other-model")
    other.answer(FINE)
    gateway = start_gateway({"gateway_fallback": other.model, "gateway_retries": "0"})
    script.answer(error(500, "it broke"))
    assert said(raw(gateway, script.model, True))
    upstream.forget(other.model)
    other.verify()
    assert other.request.messages == script.request.messages


HEALED: dict[str, tuple[str, dict[str, Any], str]] = {
    "n": ("Invalid value for 'n': only 1 is supported", {"n": 2}, "n"),
    "stream_options": ("Unrecognized request argument supplied: stream_options", {}, "stream_options"),
    "parallel": ("This model only supports single tool-calls at once!", {"parallel_tool_calls": True}, "parallel_tool_calls"),
    "temperature": ("Unsupported value: 'temperature' does not support 0.5.", {"temperature": 0.5}, "temperature"),
    "max_tokens": ("'max_tokens' is not supported. Use 'max_completion_tokens' instead.", {"max_output_tokens": 99}, "max_tokens"),
}  # fmt: skip
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("name", HEALED)
def test_healing_is_learnt_and_kept(start_gateway: StartGateway, script: Script, name: str, tmp_path: Any) -> None:
    refusal, parameters, field = HEALED[name]
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    gateway = start_gateway(environment=state)
    body = {"model": script.model, "input": "hi", "stream": True, "tools": [TOOL], **parameters}
    script.answer(error(400, refusal), FINE, FINE, FINE)
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        assert said(turn(connection, body))
        assert said(turn(connection, body))
    with closing(HTTPConnection("127.0.0.1", start_gateway(environment=state).port, timeout=60)) as connection:
        assert said(turn(connection, body))
    assert [field in request.body for request in script.requests] == [True, False, False, False]
    assert len({request.raw for request in script.requests[1:]}) == 1
    gateway.wait_log(f"learnt {field}")


def test_healing_gives_up(gateway: GatewayProcess, script: Script) -> None:
    refusals = [error(400, f"Unsupported parameter: '{name}'") for name in ("temperature", "top_p", "seed", "user")]
    script.answer(*refusals)
    body = {"model": script.model, "input": "hi", "stream": True, "temperature": 1, "top_p": 1, "user": "u"}
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        outcome = turn(connection, {**body, "seed": 1})
    assert (outcome.end, outcome.status) == ("refused", 400)
    assert "user" in outcome.message


# Silence --------------------------------------------------------------------------------------------------------------


def test_heartbeats_before_the_upstream_answers(start_gateway: StartGateway, script: Script) -> None:
    gate = Gate()
    refusal = b"HTTP/1.1 400 Refused\r\ncontent-length: 23\r\n\r\n" + b'{"error": "not today :("}'[:23]
    script.answer(Answer([gate, refusal], 0, framing="until close"))
    gateway = start_gateway({"gateway_heartbeat": "0.05"})
    with open_stream(gateway, script.model) as response:
        received = events(response)
        kinds = [next(received)["type"] for _ in range(5)]
        assert kinds == ["response.created", *["response.in_progress"] * 4]
        gate.open()
        [end] = ends(list(received))
    assert end["type"] == "response.failed"


def test_heartbeats_between_chunks(start_gateway: StartGateway, script: Script) -> None:
    gate = Gate()
    script.answer(stream(text("one"), gate, text(" two"), finish(), done()))
    gateway = start_gateway({"gateway_heartbeat": "0.05"})
    with open_stream(gateway, script.model) as response:
        received = events(response)
        until(received, "response.output_text.delta")
        assert [next(received)["type"] for _ in range(3)] == ["response.in_progress"] * 3
        gate.open()
        assert until(received, "response.completed")["response"]["output"][0]["content"][0]["text"] == "one two"


@STREAM
def test_first_byte_limit(start_gateway: StartGateway, script: Script, streaming: bool) -> None:
    script.answer(Answer([Gate()], 0))
    gateway = start_gateway({"gateway_first_byte_timeout": "0.2"})
    outcome = raw(gateway, script.model, streaming)
    assert (outcome.status, outcome.code) == (504, "server_error")
    assert "0.2 s (gateway_first_byte_timeout)" in outcome.message
    assert script.request.wait_ending() is Ending.CLIENT_LEFT


def test_idle_limit(start_gateway: StartGateway, script: Script) -> None:
    script.answer(stream(text("half"), Gate()))
    outcome = raw(start_gateway({"gateway_idle_timeout": "0.2"}), script.model, True)
    assert (outcome.end, outcome.code, outcome.text) == ("response.failed", "server_error", "half")
    assert "0.2 s (gateway_idle_timeout)" in outcome.message
    assert script.request.wait_ending() is Ending.CLIENT_LEFT


def test_connect_limit(start_gateway: StartGateway) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with ThreadPoolExecutor(2) as pool, closing(socket.create_connection(full.getsockname())):
            gateway = start_gateway(
                {"gateway_connect_timeout": "0.2", "gateway_retries": "0"},
                url=f"https://127.0.0.1:{full.getsockname()[1]}",
            )
            outcome = pool.submit(raw, gateway, "scripted", True).result(20)
    assert outcome.status == 504
    assert "0.2 s (gateway_connect_timeout)" in outcome.message


def test_the_answer_ends_although_the_upstream_does_not(gateway: GatewayProcess, script: Script) -> None:
    script.answer(stream(text("Fine."), finish(), done(), Gate()), stream(text("Fine."), finish(), Gate()), FINE)
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        for _ in range(3):
            assert said(turn(connection, {"model": script.model, "input": "hi", "stream": True}))
    for request in script.requests[:2]:
        assert request.wait_ending() is Ending.CLIENT_LEFT


# The client -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["before the answer", "whole answer"])
def test_client_that_leaves(gateway: GatewayProcess, script: Script, where: str) -> None:
    gate = Gate()
    script.answer(Answer([gate], 0))
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    body = {"model": script.model, "input": "hi", "stream": where == "before the answer"}
    connection.request("POST", "/v1/responses", json.dumps(body), {"content-type": "application/json"})
    gate.wait_reached()
    connection.close()
    assert script.request.wait_ending(1) is Ending.CLIENT_LEFT


MALFORMED = {
    "no http": b"hello\r\n\r\n",
    "bad header": b"POST /v1/responses HTTP/1.1\r\nbad header\r\n\r\n",
    "bad length": b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: many\r\n\r\n",
    "two lengths": b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
    "length and chunks": b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "connect": b"CONNECT example.test:443 HTTP/1.1\r\nhost: example.test\r\n\r\n",
    "bad encoding": b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http(gateway: GatewayProcess, name: str) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as client:
        client.sendall(MALFORMED[name])
        content = b""
        while piece := client.recv(65536):
            content += piece
    head, _, answer = content.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), content
    assert b"application/json" in head
    assert set(json.loads(answer)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_a_body(start_gateway: StartGateway, script: Script, chunked: bool) -> None:
    gateway = start_gateway({"gateway_body_limit": "100kB"})
    large = json.dumps({"model": script.model, "input": "x" * 200_000}).encode()
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        connection.request("POST", "/v1/responses", iter([large]) if chunked else large, encode_chunked=chunked)
        response = connection.getresponse()
        error = json.loads(response.read())["error"]
        assert (response.status, error["param"]) == (413, None)
        assert "gateway_body_limit" in error["message"]
        script.answer(FINE)
        assert said(turn(connection, {"model": script.model, "input": "hi"}))


def test_too_large_when_decoded(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"gateway_body_limit": "100kB"})
    small = gzip.compress(b'{"model": "m", "input": "' + b"x" * 1_000_000 + b'"}')
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=60)) as connection:
        connection.request("POST", "/v1/responses", small, {"content-encoding": "gzip"})
        response = connection.getresponse()
        assert response.status == 413
        assert "gateway_body_limit" in json.loads(response.read())["error"]["message"]


def test_http_1_0(gateway: GatewayProcess, script: Script) -> None:
    script.answer(FINE)
    body = json.dumps({"model": script.model, "input": "hi", "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as client:
        client.sendall(b"POST /v1/responses HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        content = b""
        while piece := client.recv(65536):
            content += piece
    assert b"chunked" not in content
    assert content.endswith(b"\n\ndata: [DONE]\n\n")


# The end of the process -----------------------------------------------------------------------------------------------


@contextmanager
def running(gateway: GatewayProcess, model: str, count: int) -> Iterator[list[Iterator[dict[str, Any]]]]:
    """That many streams of which each has shown something."""
    connections = [HTTPConnection("127.0.0.1", gateway.port, timeout=60) for _ in range(count)]
    try:
        streams = []
        for connection in connections:
            body = {"model": model, "input": "hi", "stream": True}
            connection.request("POST", "/v1/responses", json.dumps(body), {"content-type": "application/json"})
            streams.append(events(connection.getresponse()))
        for one in streams:
            until(one, "response.output_text.delta")
        yield streams
    finally:
        for connection in connections:
            connection.close()


# Python before 3.12.2 reports every connection that is still open when its event loop ends.
@pytest.mark.expects_faults
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_every_stream(start_gateway: StartGateway, script: Script, number: signal.Signals) -> None:
    gateway = start_gateway()
    script.always(lambda _: stream(text("half"), Gate()))
    with running(gateway, script.model, 20) as streams:
        gateway.send_signal(number)
        for one in streams:
            [end] = ends(list(one))
            assert end["type"] == "response.failed"
            assert end["response"]["error"] == {"code": "server_error", "message": "the gateway is shutting down"}
        assert gateway.wait_exit(10) == 0


# Codex ----------------------------------------------------------------------------------------------------------------


def test_codex_is_told_what_broke(codex: Codex, script: Script) -> None:
    script.answer(stream(text("half an"), CUT))
    run = codex.exec("go", script.model)
    assert run.exit_code != 0
    assert "closed the connection before its answer was complete" in str(run)


def test_codex_does_not_see_what_was_mended(codex: Codex, script: Script) -> None:
    script.answer(error(400, "Unsupported parameter: 'stream_options'"), error(503, "later"), reply(text="Fine."))
    assert codex.exec("go", script.model).succeeded().messages == ["Fine."]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(400, "This model's maximum context length is 9 tokens"), "context window"),
        (error(401, "wrong key"), "wrong key"),
        (error(402, "Insufficient Balance"), "uota"),
        (error(404, "The model `x` does not exist"), "does not exist"),
    ],
    ids=["context", "key", "quota", "model"],
)
def test_codex_asks_once_when_asking_again_is_in_vain(
    codex: Codex, script: Script, answer: Responder, words: str
) -> None:
    script.answer(answer)
    run = codex.exec("go", script.model)
    assert run.exit_code != 0
    assert words in str(run)


def test_codex_keeps_what_a_limit_cut_off_and_says_so(codex: Codex, script: Script) -> None:
    script.answer(stream(text("Half a story"), finish("length"), done()))
    [message] = codex.exec("go", script.model).succeeded().messages
    kept, told = message.split("\n\n")
    assert kept == "Half a story"
    assert "reached a limit" in told
