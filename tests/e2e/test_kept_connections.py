"""Connections that are used again: no answer goes to another question, and none waits for what an upstream closed."""

import itertools
import json
import socket
from collections.abc import Iterator

import pytest

from e2e.gateway import GatewayProcess
from e2e.kept_client import Answer, KeptClient, request
from upstream.wire import Question, WireUpstream

STREAM = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def wire() -> Iterator[WireUpstream]:
    with WireUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def shared(wire: WireUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """It repeats nothing by itself, and heartbeats would hide what is not sent. With a profile that is chosen, it makes
    no connections but for turns."""
    options = {"gateway_retries": "0", "gateway_heartbeat": "0", "gateway_connect_timeout": "3"}
    options["gateway_provider"] = "openai-compatible"
    with GatewayProcess(wire.url, tmp_path_factory.mktemp("gateway"), options) as process:
        yield process
    assert not process.faults(), process.log


@pytest.fixture
def client(shared: GatewayProcess) -> Iterator[KeptClient]:
    with KeptClient(shared.port) as client:
        yield client


_numbers = itertools.count(1)


def fine(question: Question) -> Answer:
    return Answer(200, complete=True, text=question.text)


@STREAM
@pytest.mark.parametrize("pause", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("interim", [(100,), (102, 102), (103,), (100,) * 2000], ids=["100", "102", "103", "many"])
def test_interim_responses_are_no_answer(
    client: KeptClient, interim: tuple[int, ...], pause: bool, stream: bool
) -> None:
    for _ in range(2):
        question = Question(next(_numbers), interim=interim, pause=pause)
        assert client.ask(question, stream=stream) == fine(question)


@STREAM
def test_a_protocol_that_nobody_asked_for(client: KeptClient, stream: bool) -> None:
    assert not client.ask(Question(next(_numbers), interim=(101,)), stream=stream).complete
    question = Question(next(_numbers))
    assert client.ask(question, stream=stream) == fine(question)


@STREAM
@pytest.mark.parametrize("shredded", [False, True])
def test_trailers_of_an_answer(client: KeptClient, wire: WireUpstream, shredded: bool, stream: bool) -> None:
    before = wire.opened
    for _ in range(3):
        question = Question(next(_numbers), trailers=True, shredded=shredded)
        assert client.ask(question, stream=stream) == fine(question)
    assert wire.opened == before + 1


@STREAM
@pytest.mark.parametrize("after", ["bytes", "bytes soon"])
def test_bytes_outside_of_an_exchange_end_the_connection(
    client: KeptClient, wire: WireUpstream, after: str, stream: bool
) -> None:
    for _ in range(3):
        question = Question(next(_numbers), after=after)  # type: ignore[arg-type]
        assert client.ask(question, stream=stream) == fine(question)
        wire.wait_left(question.number)


@STREAM
@pytest.mark.parametrize("after", ["close", "close soon", "announced close", "reset"])
def test_upstreams_that_close(client: KeptClient, after: str, stream: bool) -> None:
    for _ in range(150):
        question = Question(next(_numbers), after=after)  # type: ignore[arg-type]
        assert client.ask(question, stream=stream) == fine(question)


@STREAM
@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_request_that_a_kept_connection_lost_is_sent_again(
    client: KeptClient, wire: WireUpstream, fault: str, stream: bool
) -> None:
    client.ask(Question(next(_numbers)), stream=stream)
    question = Question(next(_numbers), fault=fault, faults=1)  # type: ignore[arg-type]
    assert client.ask(question, stream=stream) == fine(question)
    assert wire.asked[question.number] == 2


@STREAM
@pytest.mark.parametrize("fault", ["close", "reset"])
def test_it_is_sent_again_only_once(client: KeptClient, wire: WireUpstream, fault: str, stream: bool) -> None:
    client.ask(Question(next(_numbers)), stream=stream)
    question = Question(next(_numbers), fault=fault, faults=9)  # type: ignore[arg-type]
    assert not client.ask(question, stream=stream).complete
    assert wire.asked[question.number] == 2


@STREAM
def test_a_fresh_connection_that_fails_is_no_lost_race(client: KeptClient, wire: WireUpstream, stream: bool) -> None:
    question = Question(next(_numbers), fault="close", faults=9)
    assert not client.ask(question, stream=stream).complete
    assert wire.asked[question.number] == 1


@STREAM
def test_a_client_that_sends_no_more_gets_its_answer(client: KeptClient, stream: bool) -> None:
    question = Question(next(_numbers), pause=True, shredded=True)
    client.send(question, stream=stream)
    client.end_requests()
    assert client.answer() == fine(question)
    assert client.ended()


def test_all_that_a_client_asked_before_it_sends_no_more_is_answered(client: KeptClient) -> None:
    questions = [Question(next(_numbers), pause=True) for _ in range(3)]
    client.send(*questions)
    client.end_requests()
    assert [client.answer() for _ in questions] == [fine(one) for one in questions]
    assert client.ended()


def test_an_old_client_that_sends_no_more_gets_its_answer(shared: GatewayProcess) -> None:
    question = Question(next(_numbers), pause=True)
    body = question.body(stream=True)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as client:
        client.sendall(b"POST /v1/responses HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        client.shutdown(socket.SHUT_WR)
        content = b"".join(iter(lambda: client.recv(65536), b""))
    assert content.startswith(b"HTTP/1.1 200 ")
    assert content.endswith(b"\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize("path", ["responses", "chat/completions"])
@pytest.mark.parametrize("where", ["before", "in"])
@STREAM
def test_a_client_that_left_a_silent_upstream(
    client: KeptClient, wire: WireUpstream, path: str, where: str, stream: bool
) -> None:
    question = Question(
        next(_numbers), fault="stall" if where == "before" else "", faults=9, cut="" if where == "before" else "stall"
    )
    body = json.loads(question.body(stream=stream))
    body["messages"] = [{"role": "user", "content": body["input"]}]
    client.send_raw(request(json.dumps(body).encode(), path))
    wire.wait_asked(question.number)
    if where == "in" and stream:
        client.wait_for(f"{question.number}:0")
    client.close()
    wire.wait_left(question.number)


def test_trailers_of_a_request_are_read_over(client: KeptClient) -> None:
    for _ in range(2):
        question = Question(next(_numbers))
        body = question.body(stream=True)
        head = b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        client.send_raw(head + b"%x\r\n%b\r\n0\r\nx-checksum: 1\r\n\r\n" % (len(body), body))
        assert client.answer() == fine(question)
