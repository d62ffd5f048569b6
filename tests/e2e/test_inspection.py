"""What mitmweb and saved flows tell of turns, through mitmweb's own API."""

import json
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from e2e.capture import contents
from e2e.environment import API_KEY, UPSTREAM_KEY, clean_environment
from e2e.gateway import GatewayProcess, StartGateway
from e2e.mitmweb import MitmwebProcess
from responses_gateway.inspection.names import short_name
from upstream import (
    CUT,
    Gate,
    Script,
    ScriptedUpstream,
    call,
    done,
    error,
    finish,
    reasoning,
    reply,
    stream,
    text,
    usage,
)

REQUEST_VIEWS = ("Conversation", "Responses request", "Chat request", "Changes")
RESPONSE_VIEWS = ("Answer", "Responses events", "Upstream chunks")
SECRETS = (API_KEY, UPSTREAM_KEY)
TOOL = {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {"cmd": {}}}}


def ask(gateway: GatewayProcess, body: dict[str, Any], read: bool = True) -> tuple[HTTPConnection, int, bytes]:
    """One request as a client with a key sends it; the connection is closed when the answer is read."""
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    headers = {"content-type": "application/json", "authorization": f"Bearer {API_KEY}"}
    connection.request("POST", "/v1/responses", json.dumps({"stream": True, **body}), headers)
    response = connection.getresponse()
    answer = b""
    if read:
        with suppress(IncompleteRead):
            answer = response.read()
    if read:
        connection.close()
    return connection, response.status, answer


def every_view(web: MitmwebProcess, flow: dict[str, Any]) -> str:
    """All views on both tabs, and what the list shows."""
    shown = [json.dumps(flow)]
    for side, names in (("request", REQUEST_VIEWS), ("response", RESPONSE_VIEWS)):
        if flow.get(side):
            shown += [web.view(flow["id"], side, name) for name in ("auto", "raw", *names)]
    return "\n".join(shown)


def ended(flow: dict[str, Any]) -> bool:
    return flow["comment"].rpartition(" · ")[2] not in ("", "in progress")


@pytest.fixture
def turn(script: Script) -> dict[str, Any]:
    """A request with a tool, answered with reasoning, text and a call."""
    script.answer(
        stream(
            reasoning("Let me", " see."),
            text("I will", " look."),
            call("shell", {"cmd": "ls -l"}).chunks(0),
            finish("tool_calls"),
            usage(prompt=41_000, completion=512, cached=40_000),
            done(),
        )
    )
    return {"model": script.model, "input": "What is here?", "tools": [TOOL], "prompt_cache_key": "thread"}


def test_the_list_and_the_views_tell_the_turn(mitmweb: MitmwebProcess, turn: dict[str, Any]) -> None:
    ask(mitmweb, turn)
    flow = mitmweb.wait_flow(ended)
    assert flow["comment"].startswith(
        f"{short_name('thread')} · {turn['model']} · turn 1 · 41k→512 tok (97% cached) · 1 call · "
    )
    assert flow["comment"].endswith(" · completed")
    assert flow["marked"] == ""
    request = {name: mitmweb.view(flow["id"], "request", name) for name in REQUEST_VIEWS}
    assert "What is here?" in request["Conversation"]
    assert '"input": "What is here?"' in request["Responses request"]
    assert '"role": "user"' in request["Chat request"]
    assert "/chat/completions" in request["Chat request"]
    assert "Ledger" in request["Changes"]
    response = {name: mitmweb.view(flow["id"], "response", name) for name in RESPONSE_VIEWS}
    assert "Let me see." in response["Answer"]
    assert "function_call shell call_1" in response["Answer"]
    assert "response.output_text.delta [1] ×2" in response["Responses events"]
    assert "choices[0].delta.content ×2" in response["Upstream chunks"]
    assert mitmweb.view_json(flow["id"], "request")["view_name"] == "Conversation"
    assert mitmweb.view_json(flow["id"], "response")["view_name"] == "Answer"
    for side in ("request", "response"):
        for name in (*REQUEST_VIEWS, *RESPONSE_VIEWS):
            assert mitmweb.view_json(flow["id"], side, name)["syntax_highlight"] != "error"


def test_the_views_work_while_the_stream_runs(mitmweb: MitmwebProcess, script: Script) -> None:
    gate = Gate()
    script.answer(stream(text("one", " two"), gate, text(" three"), finish(), usage(), done()))
    connection, _, _ = ask(mitmweb, {"model": script.model, "input": "count"}, read=False)
    gate.wait_reached()
    flow = mitmweb.wait_flow(lambda flow: flow.get("response") and "in progress" in flow["comment"])
    assert "one two" in mitmweb.view(flow["id"], "response")
    assert "×2" in mitmweb.view(flow["id"], "response", "Upstream chunks")
    assert "count" in mitmweb.view(flow["id"], "request")
    gate.open()
    connection.close()


def test_a_failed_turn_is_marked_and_shown(mitmweb: MitmwebProcess, script: Script) -> None:
    script.answer(stream(text("Hel"), CUT))
    ask(mitmweb, {"model": script.model, "input": "hi"})
    flow = mitmweb.wait_flow(lambda flow: flow["marked"])
    assert flow["marked"] == "❌"
    assert "Hel" in mitmweb.view(flow["id"], "response", "Answer")
    assert every_view(mitmweb, flow)


def test_a_refused_turn_tells_what_both_sides_said(mitmweb: MitmwebProcess, script: Script) -> None:
    script.answer(error(422, "No such parameter.", code="bad_parameter"))
    _, status, _ = ask(mitmweb, {"model": script.model, "input": "hi"})
    assert status >= 400
    flow = mitmweb.wait_flow(ended)
    assert "failed: " in flow["comment"]
    assert "HTTP 422" in mitmweb.view(flow["id"], "response", "Upstream chunks")
    assert "No such parameter." in mitmweb.view(flow["id"], "response", "Upstream chunks")
    assert "No such parameter." in mitmweb.view(flow["id"], "response", "Answer")


def test_a_request_that_never_went_upstream_is_shown(mitmweb: MitmwebProcess) -> None:
    _, status, _ = ask(mitmweb, {"model": "any"})
    assert status == 400
    flow = mitmweb.wait_flow(ended)
    assert "Missing required parameter: 'input'" in flow["comment"]
    assert "Nothing was sent to the upstream." in mitmweb.view(flow["id"], "request", "Chat request")


def test_keys_appear_nowhere(mitmweb: MitmwebProcess, script: Script, tmp_path: Path) -> None:
    gate = Gate()
    echo = text(f"Your keys are {API_KEY} and {UPSTREAM_KEY}.")
    script.answer(
        stream(echo, gate, finish(), usage(), done()),
        error(401, f"Incorrect API key provided: {UPSTREAM_KEY}"),
    )
    body = {"model": script.model, "input": "hi"}
    connection, _, _ = ask(mitmweb, body, read=False)
    gate.wait_reached()
    running = mitmweb.wait_flow(lambda flow: flow.get("response") and flow["comment"])
    shown = every_view(mitmweb, running)
    gate.open()
    mitmweb.wait_flow(ended)
    connection.close()
    ask(mitmweb, body)
    for flow in mitmweb.flows():
        shown += every_view(mitmweb, flow)
    for form in mitmweb.command("gateway.export.formats"):
        path = tmp_path / form
        mitmweb.command("gateway.export", form, "@all", str(path))
        shown += path.read_text()
    mitmweb.command("save.file", "@all", str(tmp_path / "flows"))
    shown += contents(tmp_path / "flows").decode("utf-8", "replace")
    shown += mitmweb.log
    for secret in SECRETS:
        assert secret not in shown
    assert [request.headers["authorization"] for request in script.requests] == [f"Bearer {UPSTREAM_KEY}"] * 2


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "whole"])
def test_a_key_in_an_answer_reaches_the_client_only(
    start_gateway: StartGateway, script: Script, tmp_path: Path, streaming: bool, path: str
) -> None:
    capture = tmp_path / "capture.flows"
    options, environment = {"gateway_api_key_env": "KEY"}, {"KEY": UPSTREAM_KEY}
    gateway = start_gateway(options, ["-w", str(capture)], environment)
    script.answer(reply(f"Your keys: {API_KEY}, {UPSTREAM_KEY}"))
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    asked = {"input": "hi"} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "hi"}]}
    body = json.dumps({"model": script.model, "stream": streaming, **asked})
    connection.request("POST", path, body, {"authorization": f"Bearer {API_KEY}"})
    answer = connection.getresponse().read().decode()
    connection.close()
    assert all(secret in answer for secret in SECRETS)
    gateway.stop()
    saved = contents(capture)
    assert saved.count(b"[redacted]") >= 2
    assert not [secret for secret in SECRETS if secret.encode() in saved]


def test_keys_of_requests_that_are_no_turns_are_hidden_too(mitmweb: MitmwebProcess) -> None:
    for method, path in (("GET", "/v1/models"), ("POST", "/v1/nowhere"), ("PUT", "/v1/responses")):
        connection = HTTPConnection("127.0.0.1", mitmweb.port, timeout=60)
        connection.request(method, path, "{}", {"authorization": f"Bearer {API_KEY}", "x-api-key": API_KEY})
        connection.getresponse().read()
        connection.close()
        flow = mitmweb.wait_flow(lambda flow, path=path: flow["request"]["path"] == path and flow.get("response"))
        assert API_KEY not in json.dumps(flow)
        assert flow["comment"] == f"{method} {path}"


def test_commands_answer(mitmweb: MitmwebProcess, turn: dict[str, Any], tmp_path: Path) -> None:
    ask(mitmweb, turn)
    mitmweb.wait_flow(ended)
    heading, line = mitmweb.command("gateway.stats")
    assert heading.split()[:2] == ["model", "turns"]
    assert line.split()[:5] == [turn["model"], "1", "0", "41k", "97%"]
    assert mitmweb.command("gateway.retranslate", "@all") == ["1 turns retranslated: no difference"]
    mitmweb.command("gateway.raw", "chunks", "@all", str(tmp_path / "chunks"))
    assert b"data: [DONE]" in (tmp_path / "chunks").read_bytes()
    mitmweb.command("gateway.export", "transcript", "@all", str(tmp_path / "transcript"), "session")
    items = [json.loads(line)["item"] for line in (tmp_path / "transcript").read_text().splitlines()]
    assert [item["type"] for item in items] == ["message", "reasoning", "message", "function_call"]


def test_a_capture_shows_the_same_in_mitmweb(
    upstream: ScriptedUpstream, start_gateway: StartGateway, turn: dict[str, Any], script: Script, tmp_path: Path
) -> None:
    capture = tmp_path / "capture.flows"
    gateway = start_gateway(
        {"gateway_api_key_env": "KEY"}, arguments=["-w", str(capture)], environment={"KEY": UPSTREAM_KEY}
    )
    ask(gateway, turn)
    script.answer(stream(text("Hel"), CUT))
    ask(gateway, {**turn, "input": "Go on."})
    gateway.stop()
    assert not [secret for secret in SECRETS if secret.encode() in contents(capture)]
    home = tmp_path / "web"
    home.mkdir()
    with MitmwebProcess(upstream.url, home, arguments=["-r", str(capture)]) as web:
        web.wait_flow(lambda _: len(web.flows()) == 2)
        first, second = web.flows()
        assert first["comment"].endswith("completed")
        assert second["marked"] == "❌"
        assert "What is here?" in web.view(first["id"], "request")
        assert "function_call shell call_1" in web.view(first["id"], "response")
        assert "first difference: messages[0].content" in web.view(second["id"], "request", "Changes")
        assert web.command("gateway.stats")[1].split()[:3] == [turn["model"], "2", "1"]
        script.answer(reply("Once more."))
        web.web("POST", f"/flows/{first['id']}/replay")
        web.wait_flow(lambda _: web.flows()[0]["comment"] != first["comment"] and ended(web.flows()[0]))
        assert "Once more." in web.view(first["id"], "response")
    assert script.requests[2].body == script.requests[0].body


def test_a_background_response_is_seen_where_it_was_asked_for(mitmweb: MitmwebProcess, script: Script) -> None:
    script.answer(error(503, "later"), reply("In the background."))
    ask(mitmweb, {"model": script.model, "input": "hi", "background": True, "stream": False})
    mitmweb.wait_flow(lambda flow: ended(flow) and flow["comment"].endswith("completed"))
    asked, _ = mitmweb.flows()
    assert " · queued" in asked["comment"]
    assert "══ round 2 of 2 ══" in mitmweb.view(asked["id"], "request", "Chat request")
    assert "background" in mitmweb.view(asked["id"], "response", "Upstream chunks")


def test_the_upstream_log(start_gateway: StartGateway, turn: dict[str, Any], script: Script, tmp_path: Path) -> None:
    log = tmp_path / "upstream.jsonl"
    options = {"gateway_upstream_log": str(log), "gateway_upstream_log_bodies": "true"}
    gateway = start_gateway(options)
    script.answer(reply("Yes."))
    ask(gateway, turn)
    ask(gateway, {**turn, "input": "Go on."})
    gateway.stop()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["body"] for line in lines] == [request.body for request in script.requests]
    assert API_KEY not in log.read_text()
    command = [sys.executable, "-m", "responses_gateway", "analyze-log", str(log), "--json"]
    environment = clean_environment(tmp_path, {"PYTHONPATH": "addon"})
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(told.stdout)["unstable_paths"][0]["path"] == "messages[*].content"


def test_nothing_is_kept_when_nobody_can_see_it(
    start_gateway: StartGateway, turn: dict[str, Any], tmp_path: Path
) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(SPY)
    gateway = start_gateway(arguments=["-s", str(spy)])
    ask(gateway, turn)
    kept = gateway.wait_log(r"metadata: (.*)")[1].split()
    assert kept == ["gateway.turn"]


SPY = """
import logging

def response(flow):
    logging.warning("metadata: " + " ".join(sorted(flow.metadata)))
"""


def test_nothing_shows_the_key_before_the_upstream_answers(mitmweb: MitmwebProcess, script: Script) -> None:
    gate = Gate()
    script.answer(stream(gate, text("Hi."), finish(), usage(), done()))
    connection = HTTPConnection("127.0.0.1", mitmweb.port, timeout=60)
    body = json.dumps({"model": script.model, "input": "hi", "stream": True})
    connection.request("POST", "/v1/responses", body, {"authorization": f"Bearer {API_KEY}"})
    gate.wait_reached()
    flow = mitmweb.wait_flow(lambda _: True)
    shown = every_view(mitmweb, flow)
    assert "hi" in mitmweb.view(flow["id"], "request")
    assert not [secret for secret in SECRETS if secret in shown]
    gate.open()
    connection.getresponse().read()
    connection.close()
