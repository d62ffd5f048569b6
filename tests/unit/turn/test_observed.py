"""What is sent to an upstream, round by round, and what those who watch a turn are told of it."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.protocol.json import JsonObject
from responses_gateway.proxy.contract import Failure
from responses_gateway.settings.loading import load_settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.observers import Unobserved
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from responses_gateway.upstream.routing import Route
from unit.exchanges import DONE, events, frame
from unit.machine import delta
from unit.world import open_exchange, runtime

FILE = """
default_model: one/large
fallback: two/small
retries: 0
providers:
  one:
    base_url: http://one.example/v1
    api_key: key-of-the-first
    headers: {X-Team: team-of-the-first}
  two:
    base_url: http://two.example/v1
    api_key: key-of-the-second
"""


class Watching(Unobserved):
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def translated(
        self, model: str | None, route: Route, owner: str, session: str | None, body: JsonObject, ledger: Ledger
    ) -> None:
        self.told.append(("translated", model, route.model, owner, session, body["model"]))

    def round_began(
        self, url: str, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], hidden: Sequence[str]
    ) -> None:
        self.told.append(("began", url, headers["authorization"], json.loads(body)["model"], [*secrets], [*hidden]))

    def round_answered(self, status: int, headers: Mapping[str, str]) -> None:
        self.told.append(("answered", status, headers.get("x-id")))

    def received(self, data: bytes) -> None:
        self.told.append(("received", data))

    def round_ended(self, error: str = "", failure: Sequence[str | float] = ()) -> None:
        self.told.append(("ended", error, tuple(failure)))

    def sent(self, data: bytes, events: Sequence[JsonObject]) -> None:
        self.told.append(("sent", [event["type"] for event in events]))

    def clean(self, body: bytes) -> bytes:
        return b"cleaned: " + body


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    return path


def begun(path: Path, headers: Mapping[str, str] | None = None, **fields: Any) -> tuple[ServedTurn, Watching]:
    around = runtime(load_settings({}, {"HOME": str(path.parent)}, path))

    async def no_models(*_: object) -> None:
        return None

    exchange = open_exchange({"input": "hi", "stream": True, **fields}, headers or {}, around)
    watching = Watching()
    exchange.observe(watching)
    services = TurnServices(around.settings, around.router, LearnedRepairs(None, lambda: 1.0), no_models)
    return ServedTurn(exchange, headers or {}, services), watching


def goes_on(turn: ServedTurn) -> bool:
    return asyncio.run(turn.next_round())


BEGAN = ("began", "http://one.example/v1/chat/completions", "Bearer key-of-the-first", "large")
FIRST = [*BEGAN, ["key-of-the-first", "team-of-the-first"], ["x-team"]]


def test_what_passes_is_told_in_order(settings_file: Path) -> None:
    turn, watching = begun(settings_file, {"session-id": "thread-1"})
    assert turn.begin(200, http.Headers(x_id="7"))
    pieces = [frame(delta(content="hello")), frame(delta("stop")) + DONE]
    sent = b"".join(map(turn.feed, pieces)) + turn.finish()
    assert [event["type"] for event in events(sent)][-1] == "response.completed"
    told = watching.told
    assert told[:2] == [("translated", "large", "large", "", "thread-1", "large"), tuple(FIRST)]
    assert told[2] == ("answered", 200, "7")
    assert [one[1] for one in told if one[0] == "received"] == pieces
    assert [kind for one in told if one[0] == "sent" for kind in one[1]] == [event["type"] for event in events(sent)]
    assert turn.presentable(b"x") == b"cleaned: x"


def test_a_refusal_and_what_follows_are_told(settings_file: Path) -> None:
    turn, watching = begun(settings_file)
    assert not turn.begin(503, http.Headers(x_id="8"))
    turn.take(b'{"error": {"message": "busy"}}')
    assert goes_on(turn)
    assert watching.told[2:4] == [("answered", 503, "8"), ("received", b'{"error": {"message": "busy"}}')]
    assert watching.told[4:] == [
        (
            "began",
            "http://two.example/v1/chat/completions",
            "Bearer key-of-the-second",
            "small",
            ["key-of-the-second"],
            [],
        )
    ]


def test_a_failure_is_told_with_its_cause(settings_file: Path) -> None:
    turn, watching = begun(settings_file)
    turn.fail(Failure("idle_timeout", "", 7.0))
    kind, error, failure = watching.told[-1]
    assert kind == "ended"
    assert "sent no content for 7 s" in error
    assert failure == Failure("idle_timeout", "", 7.0)


def test_a_whole_answer_is_told_too(settings_file: Path) -> None:
    turn, watching = begun(settings_file, stream=False)
    completion = {"choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}]}
    assert not turn.begin(200, http.Headers(x_id="9"))
    turn.take(json.dumps(completion).encode())
    assert watching.told[2:] == [("answered", 200, "9"), ("received", json.dumps(completion).encode())]


@pytest.mark.parametrize(("stream", "accept"), [(True, "text/event-stream"), (False, "application/json")])
def test_each_round_is_sent_as_it_was_made(settings_file: Path, stream: bool, accept: str) -> None:
    turn, _ = begun(settings_file, stream=stream, temperature=0.5)
    for host, model, key in (("one", "large", "first"), ("two", "small", "second")):
        request = turn.request
        assert (request.method, request.url) == ("POST", f"http://{host}.example/v1/chat/completions")
        body = json.loads(request.content or b"")
        assert (body["model"], body["temperature"], body.get("stream", False)) == (model, 0.5, stream)
        assert request.headers["authorization"] == f"Bearer key-of-the-{key}"
        assert request.headers["accept"] == accept
        assert request.headers.get("x-team") == ("team-of-the-first" if host == "one" else None)
        assert not turn.begin(503, http.Headers())
        turn.take(b"")
        assert goes_on(turn) == (host == "one")


def test_keys_of_all_upstreams_are_kept_from_the_client(settings_file: Path) -> None:
    turn, _ = begun(settings_file)
    keys = "key-of-the-first key-of-the-second team-of-the-first"
    for goes in (True, False):
        assert not turn.begin(502, http.Headers())
        turn.take(json.dumps({"error": {"message": f"no: {keys}"}}).encode())
        assert goes_on(turn) is goes
    answer = turn.answer()
    assert answer.status_code == 502
    assert answer.headers["content-type"] == "application/json"
    error = json.loads(answer.content or b"")["error"]
    assert "no: " in error["message"]
    assert "of-the" not in error["message"]


def test_the_clients_own_key_is_not_repeated_to_it(settings_file: Path) -> None:
    settings_file.write_text(FILE.replace("api_key: key-of-the-first", "forward_authorization: true"))
    turn, watching = begun(settings_file, {"authorization": "Bearer key-of-the-client"})
    assert turn.request.headers["authorization"] == "Bearer key-of-the-client"
    assert turn.begin(200, http.Headers())
    sent = turn.feed(frame(delta(content="so far")))
    sent += turn.feed(frame({"error": {"message": "wrong key key-of-the-client"}})) + turn.finish()
    error = events(sent)[-1]["response"]["error"]
    assert "wrong key" in error["message"]
    assert "of-the" not in error["message"]
    assert watching.told[1][4] == ["team-of-the-first"]


def test_an_error_in_a_stream_shows_no_key_either(settings_file: Path) -> None:
    turn, _ = begun(settings_file)
    assert turn.begin(200, http.Headers())
    sent = turn.feed(frame(delta(content="so far")))
    sent += turn.feed(frame({"error": {"message": "wrong key key-of-the-first"}})) + turn.finish()
    error = events(sent)[-1]["response"]["error"]
    assert "wrong key" in error["message"]
    assert "of-the" not in error["message"]


def test_a_fallback_that_goes_nowhere_changes_nothing(settings_file: Path) -> None:
    settings_file.write_text(FILE.replace("two/small", "nobody/small").replace("default_model: one/large", ""))
    turn, watching = begun(settings_file, model="one/large")
    assert not turn.begin(503, http.Headers())
    turn.take(b"")
    assert not goes_on(turn)
    assert json.loads(turn.request.content or b"")["model"] == "large"
    assert [one[0] for one in watching.told].count("began") == 1
    assert not turn.exchange.ledger.entries
