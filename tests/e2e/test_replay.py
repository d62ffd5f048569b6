"""mitmproxy's own replays of turns: each is an ordinary turn, and shows no key while it runs nor after it."""

import json
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from e2e.capture import contents
from e2e.environment import API_KEY, UPSTREAM_KEY
from e2e.gateway import StartGateway
from e2e.mitmweb import MitmwebProcess
from e2e.test_inspection import SECRETS, TOOL, ask, ended, every_view
from upstream import (
    CUT,
    Answer,
    Gate,
    Responder,
    Script,
    ScriptedUpstream,
    call,
    done,
    error,
    finish,
    reply,
    stream,
    text,
    usage,
)
from upstream.search import ScriptedWeb


@pytest.fixture
def replay(mitmweb: MitmwebProcess) -> Callable[..., dict[str, Any]]:
    """Make a turn, then replay it with other answers; returns the flow as it is then. No key is anywhere."""

    def run(**body: Any) -> dict[str, Any]:
        ask(mitmweb, {"input": "What is here?", "tools": [TOOL], "prompt_cache_key": "thread", **body})
        return replayed(mitmweb, mitmweb.wait_flow(ended))

    return run


def replayed(web: MitmwebProcess, flow: dict[str, Any], turn: int = 2) -> dict[str, Any]:
    """Replay `flow`, which makes it the session's turn number `turn`."""
    web.web("POST", f"/flows/{flow['id']}/replay")
    again = web.wait_flow(lambda flow: f" · turn {turn} · " in flow["comment"] and ended(flow))
    assert again["is_replay"] == "request"
    assert not [secret for secret in SECRETS if secret in everything(web)]
    return again


def everything(web: MitmwebProcess) -> str:
    """All that mitmweb tells of its flows, and what it would save."""
    saved = web.web("GET", "/flows/dump").decode("utf-8", "replace")
    return "\n".join([saved, *(every_view(web, flow) for flow in web.flows())])


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
def test_a_replay_is_an_ordinary_turn(
    mitmweb: MitmwebProcess, replay: Callable[..., dict[str, Any]], script: Script, streaming: bool
) -> None:
    script.answer(reply("First."), reply("Again."))
    flow = replay(model=script.model, stream=streaming)
    assert flow["response"]["status_code"] == 200
    assert "Again." in mitmweb.view(flow["id"], "response", "Answer")
    assert "Again." in mitmweb.view(flow["id"], "response", "raw")
    first, second = script.requests
    assert first.body == second.body
    assert second.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"


REFUSED: dict[str, Responder] = {
    "500": error(500, "It broke."),
    "401 with the key": error(401, f"Incorrect API key provided: {UPSTREAM_KEY}"),
    "cut": stream(text("Hel"), CUT),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_replay_that_fails(
    mitmweb: MitmwebProcess, replay: Callable[..., dict[str, Any]], script: Script, name: str
) -> None:
    script.answer(reply("First."), REFUSED[name])
    flow = replay(model=script.model)
    assert flow["marked"] == "❌"
    assert " · failed: " in flow["comment"]
    script.answer(reply("Better."))
    flow = replayed(mitmweb, flow, turn=3)
    assert flow["marked"] == ""
    assert "Better." in mitmweb.view(flow["id"], "response")


@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
def test_a_replay_is_healed(
    mitmweb: MitmwebProcess, replay: Callable[..., dict[str, Any]], script: Script, streaming: bool
) -> None:
    script.answer(
        reply("First."), error(400, "Unsupported parameter: 'temperature'"), error(503, "later"), reply("Again.")
    )
    flow = replay(model=script.model, stream=streaming, temperature=1)
    assert flow["marked"] == "🩹"
    assert "Again." in mitmweb.view(flow["id"], "response")
    assert "Rounds    3 upstream requests" in mitmweb.view(flow["id"], "request", "Changes")
    assert "══ round 3 of 3 ══" in mitmweb.view(flow["id"], "response", "Upstream chunks")


def test_a_replay_searches_the_web(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    results = [{"title": "The Eiffel Tower", "url": "https://example.org/eiffel", "text": "It is 330 metres high."}]
    searching = reply(calls=[call("web_search", {"query": "eiffel tower height"})])
    script.answer(reply("No idea."), searching, reply("330 m."))
    with ScriptedWeb(results=results) as web:
        options = {"gateway_search": "brave", "gateway_search_url": web.url, "gateway_search_private_hosts": web.host}
        with MitmwebProcess(upstream.url, tmp_path, options, environment={"BRAVE_SEARCH_API_KEY": "brave"}) as mitmweb:
            ask(mitmweb, {"model": script.model, "input": "How high?", "tools": [{"type": "web_search"}]})
            flow = mitmweb.wait_flow(ended)
            mitmweb.web("POST", f"/flows/{flow['id']}/replay")
            mitmweb.wait_flow(lambda flow: "1 call" in flow["comment"] and ended(flow))
            assert "330 m." in mitmweb.view(flow["id"], "response")
            assert "══ round 2 of 2 ══" in mitmweb.view(flow["id"], "response", "Upstream chunks")
    assert "It is 330 metres high." in script.requests[2].tool_result("call_1")


def test_an_edited_request_is_translated_at_replay(
    mitmweb: MitmwebProcess, replay: Callable[..., dict[str, Any]], script: Script
) -> None:
    script.answer(reply("First."), reply("Again."), reply("Edited."))
    flow = replay(model=script.model)
    edited = {"model": script.model, "stream": True, "input": "Something else", "prompt_cache_key": "thread"}
    mitmweb.web("PUT", f"/flows/{flow['id']}", {"request": {"content": json.dumps(edited)}})
    assert "Something else" in mitmweb.view(flow["id"], "request", "Conversation")
    flow = replayed(mitmweb, flow, turn=3)
    assert script.requests[2].messages[-1]["content"] == "Something else"
    assert "Something else" in mitmweb.view(flow["id"], "request", "Responses request")
    assert "Edited." in mitmweb.view(flow["id"], "response")


def test_no_key_is_shown_while_the_upstream_holds_back_its_answer(mitmweb: MitmwebProcess, script: Script) -> None:
    gate = Gate()
    body = (
        b'data: {"choices": [{"index": 0, "delta": {"content": "Late."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    script.answer(reply("First."), Answer([gate, head + body], 0, framing="until close"))
    ask(mitmweb, {"model": script.model, "input": "What is here?"})
    flow = mitmweb.wait_flow(ended)
    mitmweb.web("POST", f"/flows/{flow['id']}/replay")
    gate.wait_reached()
    assert script.requests[1].headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert not [secret for secret in SECRETS if secret in everything(mitmweb)]
    assert "What is here?" in mitmweb.view(flow["id"], "request", "Responses request")
    assert "/chat/completions" in mitmweb.view(flow["id"], "request", "Chat request")
    gate.open()
    mitmweb.wait_flow(ended)
    assert "Late." in mitmweb.view(flow["id"], "response")
    assert not [secret for secret in SECRETS if secret in everything(mitmweb)]


def test_a_replay_keeps_the_limits(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply("First."), Answer([Gate()], 0))
    with MitmwebProcess(upstream.url, tmp_path, {"gateway_first_byte_timeout": "0.2"}) as mitmweb:
        ask(mitmweb, {"model": script.model, "input": "hi"})
        flow = mitmweb.wait_flow(ended)
        mitmweb.web("POST", f"/flows/{flow['id']}/replay")
        flow = mitmweb.wait_flow(lambda flow: "gateway_first_byte_timeout" in flow["comment"])
        assert flow["response"]["status_code"] == 504


def test_a_captured_turn_is_replayed_to_todays_upstream(
    upstream: ScriptedUpstream, start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    capture = tmp_path / "capture.flows"
    script.answer(reply("First."))
    with ScriptedUpstream() as other:
        elsewhere = other.script(script.model)
        elsewhere.answer(reply("First."))
        gateway = start_gateway(arguments=["-w", str(capture)], url=other.url)
        ask(gateway, {"model": script.model, "input": "What is here?"})
        gateway.stop()
    with MitmwebProcess(upstream.url, tmp_path, arguments=["-r", str(capture)]) as mitmweb:
        flow = mitmweb.wait_flow(ended)
        mitmweb.web("POST", f"/flows/{flow['id']}/replay")
        mitmweb.wait_flow(lambda _: bool(script.requests) and ended(mitmweb.flows()[0]))
    assert script.requests[0].body == elsewhere.requests[0].body


def test_a_replay_from_the_command_line(start_gateway: StartGateway, script: Script, tmp_path: Path) -> None:
    """`--client-replay` starts before the gateway is told that it runs."""
    capture, again = tmp_path / "capture.flows", tmp_path / "again.flows"
    script.answer(reply("First."), reply("Again."))
    environment = {"KEY": UPSTREAM_KEY}
    gateway = start_gateway({"gateway_api_key_env": "KEY"}, ["-w", str(capture)], environment)
    ask(gateway, {"model": script.model, "input": "What is here?"})
    gateway.stop()
    arguments = ["--client-replay", str(capture), "-w", str(again)]
    replaying = start_gateway({"gateway_api_key_env": "KEY"}, arguments, environment)
    replaying.wait_log(r"\[replay\] server disconnect|<< 200")
    replaying.stop()
    first, second = script.requests
    assert first.body == second.body
    assert b"Again." in contents(again)
    assert UPSTREAM_KEY.encode() not in contents(again)


def test_other_requests_are_replayed_too(mitmweb: MitmwebProcess, script: Script) -> None:
    script.answer(reply("First."), reply("Again."))
    body = json.dumps({"model": script.model, "messages": [{"role": "user", "content": "hi"}]})
    for method, path, content in (("POST", "/v1/chat/completions", body), ("GET", "/v1/models", "")):
        connection = HTTPConnection("127.0.0.1", mitmweb.port, timeout=60)
        connection.request(method, path, content, {"authorization": f"Bearer {API_KEY}"})
        connection.getresponse().read()
        connection.close()
        flow = mitmweb.wait_flow(lambda flow, path=path: flow["request"]["path"] == path and flow.get("response"))
        mitmweb.web("POST", f"/flows/{flow['id']}/replay")
        mitmweb.wait_flow(lambda flow: flow["is_replay"] and flow.get("response", {}).get("timestamp_end"))
        assert mitmweb.flows()[-1]["response"]["status_code"] == 200
    assert [request.headers["authorization"] for request in script.requests] == [f"Bearer {UPSTREAM_KEY}"] * 2
    assert not [secret for secret in SECRETS if secret in everything(mitmweb)]


def test_a_turn_that_runs_when_it_is_replayed_is_left_alone(mitmweb: MitmwebProcess, script: Script) -> None:
    gate = Gate()
    script.answer(stream(text("one"), gate, text(" two"), finish(), usage(), done()))
    connection, _, _ = ask(mitmweb, {"model": script.model, "input": "count"}, read=False)
    gate.wait_reached()
    flow = mitmweb.wait_flow(lambda flow: bool(flow.get("response")))
    mitmweb.web("POST", f"/flows/{flow['id']}/replay")
    gate.open()
    mitmweb.wait_flow(ended)
    connection.close()
    assert "one two" in mitmweb.view(flow["id"], "response")


def test_the_end_of_the_process_ends_a_replay(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    gate = Gate()
    script.answer(reply("First."), stream(text("one"), gate))
    with MitmwebProcess(upstream.url, tmp_path) as mitmweb:
        ask(mitmweb, {"model": script.model, "input": "hi"})
        flow = mitmweb.wait_flow(ended)
        mitmweb.web("POST", f"/flows/{flow['id']}/replay")
        gate.wait_reached()
        mitmweb.stop()
        assert not mitmweb.faults(), mitmweb.log
