"""What clients send, and what they get: heads and bodies that cannot be read or are too large, and old HTTP."""

import pytest
from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import commands, events

from responses_gateway.proxy.client_connection import LINGER, MAX_AHEAD, MAX_HEAD
from responses_gateway.proxy.contract import ClientLeft
from unit.proxy_layers import HEAD, REQUEST, Turn, Wire, chunked

ANSWER = HEAD + chunked(b"a") + b"0\r\n\r\n"


def asked(*pieces: bytes) -> Wire:
    wire = Wire(Turn())
    wire.handle(events.Start())
    for piece in pieces:
        wire.handle(events.DataReceived(wire._client, piece))
    return wire


def sent(wire: Wire) -> bytes:
    return b"".join(wire.sent)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nx: " + bytes(300_000).replace(b"\0", b"a"), b"431"),
    ],
)
def test_a_head_that_cannot_be_read_is_refused_in_our_form(head: bytes, status: bytes) -> None:
    wire = asked(head)
    assert sent(wire).startswith(b"HTTP/1.1 " + status)
    assert b"connection: close\r\n" in sent(wire)
    assert wire.closed == [wire._client]
    assert wire.asked == []


def test_a_long_head_may_still_be_one() -> None:
    head = b"POST /v1/responses HTTP/1.1\r\nhost: gateway\r\ncontent-length: 2\r\nx: " + b"a" * 200_000
    wire = asked(head, b"\r\n\r\n{}")
    assert sent(wire) == b""
    assert len(wire.opened) == 1


def test_a_body_that_cannot_be_read_is_refused_in_our_form() -> None:
    wire = asked(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n")
    assert sent(wire).startswith(b"HTTP/1.1 400")
    assert b"body cannot be parsed" in sent(wire)
    assert wire.closed == [wire._client]


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused(declared: bool) -> None:
    if declared:
        wire = asked(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n")
    else:
        start = b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        wire = asked(start, chunked(b"a" * 600), chunked(b"a" * 600))
    assert sent(wire).startswith(b"HTTP/1.1 413")
    assert b"larger than 1000 bytes" in sent(wire)
    assert wire.asked == []
    [flow] = wire.flows
    assert not flow.live
    assert flow.error is not None
    assert flow.error.msg == "The request body is larger than 1000 bytes (gateway_body_limit)."
    assert wire.hooks[-1] == "error"
    wire.client_sends(b"a" * 1001)
    assert sent(wire).count(b"HTTP/1.1 ") == 1


def test_a_body_of_the_limit_is_taken() -> None:
    wire = asked(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n" + b"a" * 1000)
    assert len(wire.opened) == 1


def test_a_process_that_holds_enough_says_so_and_reads_no_further() -> None:
    class Full(Wire):
        def reserve_body_memory(self, flow: http.HTTPFlow, size: int) -> bool:
            assert flow is self.flows[0]
            return size < 2

    wire = Full(Turn())
    wire.handle(events.Start())
    wire.handle(events.DataReceived(wire._client, REQUEST.replace(b": 2", b": 900")))
    assert sent(wire).startswith(b"HTTP/1.1 503")
    assert b"gateway_bodies_limit" in sent(wire)
    assert b"connection: close" in sent(wire)
    assert wire.opened == []
    wire.handle(events.DataReceived(wire._client, b"more"))
    assert sent(wire).count(b"HTTP/1.1 ") == 1


def test_a_client_of_old_gets_no_chunks() -> None:
    wire = asked(REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"))
    wire.upstream(ANSWER)
    head, _, body = sent(wire).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"<a>."
    assert wire._client in wire.closed


@pytest.mark.parametrize("head", [b"POST /v1/responses HTTP/1.0", b"HEAD /v1/responses HTTP/1.1"])
def test_a_client_that_gets_no_chunks_gets_none_later(head: bytes) -> None:
    wire = asked(REQUEST.replace(b"POST /v1/responses HTTP/1.1", head))
    for data in (HEAD, chunked(b"a"), chunked(b"b"), b"0\r\n\r\n"):
        wire.upstream(data)
    assert sent(wire).partition(b"\r\n\r\n")[2] == (b"" if head.startswith(b"HEAD") else b"<a><b>.")


def test_a_client_of_today_gets_chunks_and_keeps_its_connection() -> None:
    wire = asked(REQUEST)
    wire.upstream(ANSWER)
    assert sent(wire).endswith(b"3\r\n<a>\r\n1\r\n.\r\n0\r\n\r\n") or sent(wire).endswith(b"4\r\n<a>.\r\n0\r\n\r\n")
    assert wire._client not in wire.closed


def test_a_client_may_send_ahead_but_not_far() -> None:
    wire = asked(REQUEST, b"a" * (MAX_AHEAD - 1), b"a")
    assert wire.closed == []
    wire.client_sends(b"a")
    assert wire.closed == [wire._client, *wire.opened]
    assert wire.sent == []
    [flow] = wire.flows
    assert flow.error is not None
    assert flow.error.msg == "The client sends ahead of the answer."
    assert wire.hooks[-1] == "error"
    wire.client_sends(REQUEST)
    assert len(wire.flows) == 1
    assert len(wire.closed) == 2


def test_a_request_that_was_sent_ahead_is_served_next() -> None:
    wire = asked(REQUEST + REQUEST)
    assert len(wire.flows) == 1
    wire.upstream(ANSWER)
    assert len(wire.flows) == 2
    wire.served.ended = False
    wire.upstream(ANSWER)
    assert sent(wire).count(b"HTTP/1.1 200") == 2
    assert len(wire.opened) == 1
    assert wire.closed == []


def test_a_head_may_be_as_long_as_the_limit_and_no_longer() -> None:
    start = b"POST /v1/responses HTTP/1.1\r\nhost: gateway\r\nx: "
    wire = asked(start, b"a" * (MAX_HEAD - len(start)))
    assert wire.sent == wire.closed == []
    wire.client_sends(b"a")
    assert sent(wire).startswith(b"HTTP/1.1 431")
    assert str(MAX_HEAD).encode() in sent(wire)
    assert wire.closed == [wire._client]
    told = len(wire.sent)
    wire.client_sends(b"a\r\n\r\n" + REQUEST)
    assert len(wire.sent) == told
    assert wire.flows == []


@pytest.mark.parametrize("size", [1, 50])
def test_trailers_of_a_request_are_read_over(size: int) -> None:
    request = b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    request += chunked(b"{}") + b"0\r\nx-checksum: 1\r\n\r\n"
    wire = asked(*(request[at : at + size] for at in range(0, len(request), size)))
    assert len(wire.opened) == 1
    assert wire.flows[0].request.content == b"{}"
    wire.upstream(ANSWER)
    assert wire.closed == []


HALF_CLOSES = ConnectionState.CAN_WRITE
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_client_that_waits_to_be_asked_for_the_body_is_asked() -> None:
    wire = asked(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert sent(wire) == CONTINUE
    wire.client_sends(b"{}")
    wire.upstream(ANSWER)
    assert b"connection: close" not in sent(wire)
    assert wire.closed == []


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("answer", [b"", HEAD])
def test_a_client_that_sends_no_more_is_probed_with_what_it_can_ignore(version: bytes, answer: bytes) -> None:
    wire = asked(REQUEST.replace(b"HTTP/1.1", version))
    wire.upstream(answer)
    wire.sent.clear()
    wire.client_ends(HALF_CLOSES)
    assert (CONTINUE in wire.sent) is (version == b"HTTP/1.1" and not answer)
    assert wire.closed == []
    wire.upstream(b"" if answer else HEAD)
    wire.upstream(ANSWER.removeprefix(HEAD))
    assert b"<a>" in sent(wire)
    assert wire.closed == [wire._client]


def test_a_client_that_sends_no_more_gets_all_answers_that_it_asked_for() -> None:
    wire = asked(REQUEST + REQUEST)
    wire.client_ends(HALF_CLOSES)
    wire.upstream(ANSWER)
    assert wire.closed == []
    assert len(wire.flows) == 2
    wire.served.ended = False
    wire.upstream(ANSWER)
    assert sent(wire).count(b"HTTP/1.1 200") == 2
    assert wire.closed == [wire._client]


def test_a_client_that_leaves_in_the_middle_of_a_further_request_is_let_go() -> None:
    wire = asked(REQUEST + REQUEST[:-1])
    wire.client_ends(HALF_CLOSES)
    wire.upstream(ANSWER)
    assert wire._client in wire.closed
    assert len(wire.flows) == 2
    assert len(wire.asked) == 2
    assert wire.flows[1].error is not None


@pytest.mark.parametrize("order", ["end first", "left first"])
def test_a_client_that_has_left_is_not_served(order: str) -> None:
    wire = asked(REQUEST)
    if order == "end first":
        wire.client_ends(HALF_CLOSES)
        assert wire.closed == []
    wire.handle(ClientLeft())
    if order == "left first":
        assert wire.closed == []
        wire.client_ends(HALF_CLOSES)
    assert set(wire.closed) == {wire._client, *wire.opened}
    assert wire.hooks[-1] == "error"
    [flow] = wire.flows
    assert not flow.live
    assert flow.error is not None
    assert flow.error.msg == "Client disconnected."


def test_a_client_that_leaves_between_requests_ends_only_its_connection() -> None:
    wire = asked(REQUEST)
    wire.upstream(ANSWER)
    wire.client_ends(HALF_CLOSES)
    assert wire.closed == [wire._client]
    wire.handle(ClientLeft())
    assert wire.closed == [wire._client]
    assert "error" not in wire.hooks


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_an_answer_to_head_has_no_body(version: bytes) -> None:
    wire = asked(b"HEAD /v1/responses " + version + b"\r\nhost: gateway\r\n\r\n")
    wire.upstream(ANSWER)
    head, _, body = sent(wire).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b""
    assert (wire._client in wire.closed) is (version == b"HTTP/1.0")
    if version == b"HTTP/1.1":
        wire.served = Turn()
        wire.ask()
        wire.upstream(ANSWER)
        assert sent(wire).endswith(chunked(b"<a>", b".") + b"0\r\n\r\n")


class Hooked(Wire):
    """With an addon that answers every request as soon as its head has come."""

    answer = http.Response.make(401, b"who are you?")

    def hooked(self, hook: commands.StartHook) -> None:
        if hook.name == "requestheaders":
            self.flows[-1].response = self.answer.copy()
            self.flows[-1].response.timestamp_start = 0.0


PART = REQUEST.replace(b": 2", b": 900")


def refused(*pieces: bytes) -> Hooked:
    wire = Hooked(Turn())
    wire.handle(events.Start())
    for piece in pieces:
        wire.client_sends(piece)
    return wire


def test_what_is_answered_to_a_head_is_sent_before_the_body_has_come() -> None:
    wire = refused(PART)
    assert sent(wire).startswith(b"HTTP/1.1 401")
    assert sent(wire).endswith(b"\r\n\r\nwho are you?")
    assert b"connection: close\r\n" in sent(wire)
    assert wire.hooks == ["requestheaders", "responseheaders", "response"]
    assert wire.opened == wire.closed == []
    assert wire.half_closed == [wire._client]
    [flow] = wire.flows
    assert not flow.live
    assert flow.response is not None
    assert flow.response.timestamp_start


def test_an_early_answer_closes_the_connection_even_if_it_is_no_refusal() -> None:
    class Fine(Hooked):
        answer = http.Response.make(200, b"fine")

    wire = Fine(Turn())
    wire.handle(events.Start())
    wire.client_sends(PART)
    assert b"connection: close\r\n" in sent(wire)
    assert wire.half_closed == [wire._client]


def test_what_a_refused_client_still_sends_is_thrown_away_for_a_moment() -> None:
    wire = refused(PART)
    assert wire.alarm is not None
    assert wire.alarm.delay == LINGER
    told = list(wire.sent)
    for _ in range(30):
        wire.client_sends(REQUEST + b"a" * 100_000)
    assert wire.sent == told
    assert wire.closed == []
    assert len(wire.flows) == 1
    wire.wake()
    assert wire.closed == [wire._client]


def test_a_refused_client_that_goes_is_not_closed_again() -> None:
    wire = refused(PART)
    wire.client_ends(ConnectionState.CLOSED)
    wire.wake()
    assert wire.closed == []


def test_a_whole_request_keeps_its_connection_even_if_it_is_refused() -> None:
    wire = refused(b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\n\r\n")
    assert wire.hooks == ["requestheaders", "request", "responseheaders", "response"]
    assert sent(wire).startswith(b"HTTP/1.1 401")
    assert b"connection: close" not in sent(wire)
    wire.client_sends(b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\n\r\n")
    assert sent(wire).count(b"HTTP/1.1 401") == 2
    assert wire.closed == wire.half_closed == []


@pytest.mark.parametrize("at", ["requestheaders", "responseheaders"])
def test_a_flow_that_is_killed_gets_no_answer(at: str) -> None:
    class Killing(Hooked):
        def hooked(self, hook: commands.StartHook) -> None:
            super().hooked(hook)
            if hook.name == at:
                self.flows[-1].kill()

    wire = Killing(Turn())
    wire.handle(events.Start())
    wire.client_sends(PART)
    assert wire.sent == []
    assert wire.closed == [wire._client]
    assert wire.hooks == ["requestheaders", *["responseheaders"] * (at == "responseheaders"), "error"]
    assert not wire.flows[0].live


def test_the_client_is_answered_as_it_asked_whatever_the_upstream_is_asked() -> None:
    class Rewriting(Wire):
        def hooked(self, hook: commands.StartHook) -> None:
            if hook.name == "request":
                self.flows[-1].request.method = "HEAD"
                self.flows[-1].request.http_version = "HTTP/1.0"

    wire = Rewriting(Turn())
    wire.connect()
    wire.upstream(ANSWER)
    assert sent(wire).endswith(b"0\r\n\r\n")
    assert b"<a>" in sent(wire)
    assert wire.closed == []
