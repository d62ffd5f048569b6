"""HTTP/2 on both sides: mitmproxy speaks to an upstream what its client speaks to the gateway."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest

from e2e.gateway import GatewayProcess, StartGateway
from e2e.http2_client import Http2Client
from e2e.responses import events, outcome_of, raw, turn
from upstream import CUT, RESET, Ending, Gate, Script, done, error, finish, reply, stream, text
from upstream.answers import GOAWAY
from upstream.http2 import Http2Upstream

FINE = reply(text="Fine.")
STREAM = pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
BREAKS = pytest.mark.parametrize("cut", [RESET, GOAWAY, CUT], ids=["RST_STREAM", "GOAWAY", "closed"])


@pytest.fixture(scope="module")
def modern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http2Upstream]:
    with Http2Upstream(tmp_path_factory.mktemp("authority")) as upstream:
        yield upstream
    assert not upstream.strays


@pytest.fixture(scope="module")
def shared(modern: Http2Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    # With a profile that is chosen, no connections are made but for turns.
    options = {"ssl_verify_upstream_trusted_ca": str(modern.authority), "gateway_provider": "openai-compatible"}
    with GatewayProcess(modern.url, tmp_path_factory.mktemp("gateway"), options) as process:
        yield process
    assert not process.faults(), process.log


@pytest.fixture
def client(shared: GatewayProcess) -> Iterator[Http2Client]:
    with Http2Client(shared.port) as client:
        yield client


@pytest.fixture
def script(modern: Http2Upstream) -> Iterator[Script]:
    script = modern.script("modern")
    yield script
    script.verify()


def begin(client: Http2Client, script: Script, *, streaming: bool = True) -> int:
    return client.request("POST", "/v1/responses", {"model": script.model, "input": "hi", "stream": streaming})


def end(client: Http2Client, stream_id: int) -> tuple[str, str | None, str]:
    """How a turn ended, its code and its text."""
    status, body = client.answer(stream_id)
    if body.startswith(b"event: "):
        outcome = outcome_of(list(events(body)))
        return outcome.end, outcome.code, outcome.text
    answer = json.loads(body)
    if status != 200:
        return f"refused {status}", answer["error"]["code"], answer["error"]["message"]
    return answer["status"], None, answer["output"][0]["content"][0]["text"]


@STREAM
def test_turns_share_a_connection(client: Http2Client, modern: Http2Upstream, script: Script, streaming: bool) -> None:
    before = modern.opened
    script.answer(FINE, FINE)
    for _ in range(2):
        assert end(client, begin(client, script, streaming=streaming))[2] == "Fine."
    assert modern.opened == before + 1
    assert script.requests[0].path == "/v1/chat/completions"
    assert script.requests[0].headers[":authority"] == f"localhost:{modern.port}"


def test_turns_run_side_by_side(client: Http2Client, script: Script) -> None:
    gates = [Gate() for _ in range(5)]
    script.answer(*(stream(text(f"{n}"), gate, text("!"), finish(), done()) for n, gate in enumerate(gates)))
    begun = []
    for gate in gates:
        begun.append(begin(client, script))
        gate.wait_reached()
    for gate in reversed(gates):
        gate.open()
    assert [end(client, stream_id)[2] for stream_id in begun] == ["0!", "1!", "2!", "3!", "4!"]


@STREAM
def test_refused(client: Http2Client, script: Script, streaming: bool) -> None:
    script.answer(error(400, "that will not do"))
    ended, code, message = end(client, begin(client, script, streaming=streaming))
    assert (ended, code) == ("refused 400", "invalid_request_error")
    assert "that will not do" in message


@STREAM
def test_overloaded_for_a_moment(client: Http2Client, script: Script, streaming: bool) -> None:
    script.answer(error(429, "Please try again in 20ms."), FINE)
    assert end(client, begin(client, script, streaming=streaming))[2] == "Fine."


@STREAM
@BREAKS
def test_broken_before_the_answer(client: Http2Client, script: Script, cut: Any, streaming: bool) -> None:
    script.answer(stream(cut, status=0), FINE)
    assert end(client, begin(client, script, streaming=streaming))[2] == "Fine."


@STREAM
def test_a_kept_connection_that_is_closed_costs_no_retry(
    modern: Http2Upstream, start_gateway: StartGateway, script: Script, streaming: bool
) -> None:
    options = {"ssl_verify_upstream_trusted_ca": str(modern.authority), "gateway_retries": "0"}
    gateway = start_gateway(options, url=modern.url)
    with Http2Client(gateway.port) as client:
        script.answer(FINE, stream(CUT, status=0), FINE, stream(CUT, status=0), stream(CUT, status=0), FINE)
        for _ in range(2):
            assert end(client, begin(client, script, streaming=streaming))[2] == "Fine."
        assert end(client, begin(client, script, streaming=streaming))[1] == "server_error"
        assert end(client, begin(client, script, streaming=streaming))[2] == "Fine."


@BREAKS
def test_broken_in_the_answer(client: Http2Client, script: Script, cut: Any) -> None:
    gate = Gate()
    script.answer(stream(text("half"), gate, cut), FINE)
    begun = begin(client, script)
    client.wait_for(begun, b"half")
    gate.open()
    assert end(client, begun) == ("response.failed", "server_error", "half")
    assert end(client, begin(client, script))[2] == "Fine."


@pytest.mark.parametrize("where", ["before the answer", "in the answer"])
def test_cancelled_by_the_client(client: Http2Client, modern: Http2Upstream, script: Script, where: str) -> None:
    """One stream is reset, on either side; another one goes on."""
    before = len(modern.cancelled)
    first, second = Gate(), Gate()
    never = stream(second, status=0) if where == "before the answer" else stream(text("half"), second)
    script.answer(stream(text("one"), first, text(" two"), finish(), done()), never)
    staying = begin(client, script)
    client.wait_for(staying, b"one")
    leaving = begin(client, script)
    second.wait_reached()
    client.cancel(leaving)
    assert script.requests[1].wait_ending() is Ending.CLIENT_LEFT
    assert modern.cancelled[before:] == [8], "CANCEL"
    first.open()
    assert end(client, staying)[2] == "one two"


def test_endpoints_of_our_own(client: Http2Client) -> None:
    status, body = client.answer(client.request("GET", "/v1/unknown"))
    assert (status, list(json.loads(body))) == (404, ["error"])
    status, body = client.answer(client.request("POST", "/v1/responses", {"input": "hi"}))
    assert (status, json.loads(body)["error"]["param"]) == (400, "model")


def test_plain_client(shared: GatewayProcess, script: Script) -> None:
    """Without HTTP/2 in front, there is none behind."""
    script.answer(FINE)
    assert raw(shared, script.model, True).text == "Fine."
    assert script.request.headers["host"].startswith("localhost:")


def test_long_answers_in_tls(shared: GatewayProcess, modern: Http2Upstream, script: Script) -> None:
    """Records of many pieces, pieces of many records, a pause, a connection that is used again, and one that breaks."""
    words = ["", " lorem", " ipsum" * 9000, *(f" {number}" for number in range(300))]
    gate, opened = Gate(), modern.opened
    script.answer(
        stream(text(*words), gate, text(*reversed(words)), finish(), done()),
        stream(text(*words), finish(), done()),
        stream(text(*words), CUT),
    )
    whole, back = "".join(words), "".join(reversed(words))
    with closing(HTTPConnection("127.0.0.1", shared.port, timeout=30)) as connection:
        body = {"model": script.model, "input": "hi", "stream": True}
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(turn, connection, body)
            gate.wait_reached()
            gate.open()
            assert first.result(30).text == whole + back
        assert turn(connection, body).text == whole
        assert modern.opened == opened + 1
        cut = turn(connection, body)
    assert (cut.end, cut.text) == ("response.failed", whole)


def test_unknown_authority(start_gateway: StartGateway, modern: Http2Upstream) -> None:
    """It will not be trusted the next time either."""
    opened = modern.opened
    refused = raw(start_gateway(url=modern.url), "modern", True)
    assert (refused.end, refused.status, refused.code) == ("refused", 400, "upstream_unreachable")
    assert "Certificate verify failed" in refused.message
    assert "ssl_verify_upstream_trusted_ca" in refused.message
    assert modern.opened <= opened + 1


def test_upstream_without_tls(start_gateway: StartGateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain, ThreadPoolExecutor(1) as pool:
        gateway = start_gateway(url=f"https://127.0.0.1:{plain.getsockname()[1]}")
        asking = pool.submit(raw, gateway, "modern", True)
        connection, _ = plain.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 This is no HTTP\r\n\r\n")
            refused = asking.result(20)
    assert (refused.end, refused.status, refused.code) == ("refused", 400, "upstream_unreachable")
    assert "http://" in refused.message
