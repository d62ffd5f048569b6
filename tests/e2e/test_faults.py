"""The fault matrix: what goes wrong upstream, before and after the first byte, and what each client gets for it."""

# ruff: noqa: E501 (a row of a table is one line)

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from e2e.gateway import GatewayProcess
from e2e.responses import Client, openai_python, raw
from upstream import CUT, RESET, Answer, Responder, Script, ScriptedUpstream, chunk, done, error, finish, stream, text
from upstream.answers import Piece, completion

CLIENTS = pytest.mark.parametrize("client", [raw, openai_python])
STREAM = pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def impatient(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that shows every fault at once, without a second try."""
    options = {"gateway_retries": "0", "gateway_heartbeat": "0"}
    with GatewayProcess(upstream.url, tmp_path_factory.mktemp("impatient"), options) as process:
        yield process
        assert not process.faults(), process.log


def body(content: Any, kind: str = "application/json") -> Answer:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Answer([data], 200, {"content-type": kind}, "length")


def html(status: int, words: str) -> Answer:
    page = f"<html><head><title>{status}</title></head><body><h1>{words}</h1></body></html>".encode()
    return Answer([page], status, {"content-type": "text/html"}, "length")


def cut(piece: Piece) -> Answer:
    return Answer([piece], status=0)


@dataclass(frozen=True)
class Refusal:
    """An upstream that refuses: status, code and words for the client, streaming or not."""

    answer: Responder
    status: int
    code: str
    words: str
    retry_after: str | None = None


OVERFLOW = "This model's maximum context length is 128000 tokens."

REFUSALS = {
    "400": Refusal(error(400, "that will not do"), 400, "invalid_request_error", "that will not do"),
    "422 list": Refusal(completion({"detail": [{"msg": "bad", "type": "x"}]}, 422), 400, "x", "bad"),
    "context": Refusal(error(400, OVERFLOW), 400, "context_length_exceeded", "128000"),
    "context as 500": Refusal(error(500, OVERFLOW), 400, "context_length_exceeded", "128000"),
    "401": Refusal(error(401, "wrong key"), 401, "invalid_api_key", "wrong key"),
    "403 html": Refusal(html(403, "Forbidden"), 403, "invalid_api_key", "Forbidden"),
    "402": Refusal(error(402, "Insufficient Balance"), 429, "insufficient_quota", "Insufficient Balance"),
    "model": Refusal(error(404, "The model `x` does not exist."), 404, "model_not_found", "has "),
    "limit": Refusal(error(429, "slow down"), 429, "rate_limit_exceeded", "try again in 10s", "10"),
    "limit told": Refusal(error(429, "no", {"retry-after": "30"}), 429, "rate_limit_exceeded", "in 30s", "30"),
    "limit as 413": Refusal(error(413, "TPM: Limit 6000"), 429, "rate_limit_exceeded", "TPM", "10"),
    "quota": Refusal(error(429, "x", code="insufficient_quota"), 429, "insufficient_quota", "x"),
    "500": Refusal(error(500, "it broke"), 502, "server_error", "it broke"),
    "502 html": Refusal(html(502, "Bad gateway"), 502, "server_error", "Bad gateway"),
    "503": Refusal(error(503, "later", {"retry-after": "60"}), 503, "server_error", "later", "60"),
    "529": Refusal(error(529, "Overloaded"), 503, "server_error", "Overloaded"),
    "array": Refusal(completion([{"error": {"code": 400, "message": "bad"}}], 400), 400, "invalid_request_error", "bad"),
    "string": Refusal(completion({"error": "bad string"}, 400), 400, "invalid_request_error", "bad string"),
    "redirect": Refusal(Answer([], 302, {"location": "/login"}, "length"), 502, "server_error", "/login"),
    "hung up": Refusal(cut(CUT), 502, "server_error", "closed the connection"),
    "reset": Refusal(cut(RESET), 502, "server_error", "closed the connection"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
@STREAM
@CLIENTS
def test_refused(impatient: GatewayProcess, script: Script, name: str, streaming: bool, client: Client) -> None:
    fault = REFUSALS[name]
    script.answer(fault.answer)
    outcome = client(impatient, script.model, streaming)
    assert (outcome.end, outcome.status, outcome.code) == ("refused", fault.status, fault.code), outcome
    assert fault.words in outcome.message
    assert outcome.retry_after == fault.retry_after


@dataclass(frozen=True)
class Broken:
    """An answer with status 200 that is none: a failed stream, or an error for a client that does not stream."""

    answer: Responder
    status: int
    code: str
    words: str


WHOLE = {
    "error object": Broken(body({"error": {"message": "it broke"}}), 502, "server_error", "it broke"),
    "error code": Broken(body({"error": {"message": "later", "code": 503}}), 503, "server_error", "later"),
    "error context": Broken(body({"error": {"message": OVERFLOW}}), 400, "context_length_exceeded", "128000"),
    "error list": Broken(body([{"error": {"message": "it broke"}}]), 502, "server_error", "it broke"),
    "error string": Broken(body({"error": "it broke"}), 502, "server_error", "it broke"),
    "base_resp": Broken(body({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}), 429, "rate_limit_exceeded", "try again in 10s"),
    "html": Broken(body(b"<html><body>Log in</body></html>", "text/html"), 502, "server_error", "Log in"),
    "no json": Broken(body(b"{broken"), 502, "server_error", "{broken"),
    "nothing": Broken(body(b""), 502, "server_error", "empty"),
    "no choices": Broken(body({"object": "chat.completion"}), 502, "server_error", "no chat completion"),
    "cut json": Broken(Answer([b'{"choices": [', CUT], 200, {"content-type": "application/json"}), 502, "server_error", "closed"),
    "broken gzip": Broken(Answer([b"\x1f\x8bnot gzip at all"], 200, {"content-encoding": "gzip"}), 502, "server_error", "cannot be read"),
    "unknown encoding": Broken(Answer([b"xx"], 200, {"content-encoding": "zip"}), 502, "server_error", "encoding"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
@STREAM
@CLIENTS
def test_no_answer(impatient: GatewayProcess, script: Script, name: str, streaming: bool, client: Client) -> None:
    fault = WHOLE[name]
    script.answer(fault.answer)
    outcome = client(impatient, script.model, streaming)
    if not streaming:
        assert (outcome.end, outcome.status) == ("refused", fault.status), outcome
    else:
        assert outcome.end == "response.failed" or (outcome.end, outcome.status) == ("refused", fault.status), outcome
    assert outcome.code == fault.code
    assert fault.words in outcome.message or (name == "nothing" and outcome.message)


@dataclass(frozen=True)
class Midway:
    """A stream that shows something and then does not end as it should."""

    answer: Responder
    end: str
    code: str | None = None
    words: str = ""
    shown: str = "half an"


def after_text(*pieces: Any) -> Answer:
    return stream(text("half", " an"), *pieces)


FAILED = "response.failed"
MIDWAY = {
    "cut": Midway(after_text(CUT), FAILED, "server_error", "closed the connection"),
    "reset": Midway(after_text(RESET), FAILED, "server_error", "closed the connection"),
    "error object": Midway(after_text({"error": {"message": "it fell over"}}, done()), FAILED, "server_error", "it fell over"),
    "error string": Midway(after_text({"error": "it fell over"}), FAILED, "server_error", "it fell over"),
    "error array": Midway(after_text(b'data: [{"error": {"message": "it fell over"}}]\n\n'), FAILED, "server_error", "it fell over"),
    "error in choice": Midway(after_text({"choices": [{"error": {"message": "it fell over"}}]}), FAILED, "server_error", "it fell over"),
    "base_resp": Midway(after_text({"base_resp": {"status_code": 1000, "status_msg": "it fell over"}}), FAILED, "server_error", "it fell over"),
    "detail": Midway(after_text({"detail": "it fell over"}), FAILED, "server_error", "it fell over"),
    "limit": Midway(after_text({"error": {"message": "slow", "code": 429}}), FAILED, "rate_limit_exceeded", "try again in 10s"),
    "context": Midway(after_text({"error": {"message": OVERFLOW}}), FAILED, "context_length_exceeded", "128000"),
    "nothing behind": Midway(after_text(), FAILED, "server_error", "neither finish_reason nor [DONE]"),
    "garbage behind": Midway(after_text(b"data: {broken\n\n", b"\xff\xfe\n\n"), FAILED, "server_error", "neither"),
    "gave up": Midway(after_text(finish("error"), done()), FAILED, "server_error", "gave up"),
    "garbage between": Midway(stream(text("half"), b"data: {\n\n", text(" an"), finish(), done()), "response.completed"),
    "created": Midway(stream(text("half", " an"), finish(), done(), status=201), "response.completed"),
    "no DONE": Midway(after_text(finish()), "response.completed"),
    "no finish_reason": Midway(after_text(done()), "response.completed"),
    "cut behind finish_reason": Midway(after_text(finish(), CUT), "response.completed"),
    "cut behind DONE": Midway(after_text(done(), RESET), "response.completed"),
    "length": Midway(after_text(finish("length"), done()), "response.incomplete"),
    "content_filter": Midway(after_text(finish("content_filter"), done()), "response.incomplete"),
    "nameless call": Midway(after_text(chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}), finish("tool_calls"), done()), FAILED, "server_error", "without a name"),
}  # fmt: skip


@pytest.mark.parametrize("name", MIDWAY)
@CLIENTS
def test_midway(impatient: GatewayProcess, script: Script, name: str, client: Client) -> None:
    fault = MIDWAY[name]
    script.answer(fault.answer)
    outcome = client(impatient, script.model, True)
    assert (outcome.end, outcome.code, outcome.text) == (fault.end, fault.code, fault.shown), outcome
    assert fault.words in outcome.message
