"""Turns that did not go smoothly, in a real browser: every view on both tabs, the list, and mitmweb's own buttons.

Pictures of what was seen are kept in `artifacts/`.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from e2e.browser import Screen
from e2e.environment import API_KEY, UPSTREAM_KEY
from e2e.gateway import GatewayProcess, StartGateway
from e2e.mitmweb import MitmwebProcess
from e2e.test_browser import chromium, look, screen
from upstream import CUT, Gate, Script, ScriptedUpstream, done, error, finish, reasoning, reply, stream, text, usage

__all__ = ["chromium", "screen"]

MODEL = "kimi-k2.6"
QUESTION = "Why does the build fail?"
REFUSAL = error(400, "Unsupported parameter: 'stream_options'")


def ask(gateway: GatewayProcess, read: bool = True, **body: Any) -> HTTPConnection:
    """A turn of the session `thread`; the connection is returned open when its answer is not read."""
    client = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    request = {"model": MODEL, "stream": True, "prompt_cache_key": "thread", "input": QUESTION, **body}
    headers = {"content-type": "application/json", "authorization": f"Bearer {API_KEY}"}
    client.request("POST", "/v1/responses", json.dumps(request), headers)
    if read:
        with suppress(IncompleteRead):
            client.getresponse().read()
        client.close()
    return client


def close_flow(screen: Screen) -> None:
    screen.page.locator(".close-button").click()


def test_a_failed_turn(mitmweb: MitmwebProcess, screen: Screen, script_for: Callable[[str], Script]) -> None:
    refusal = error(422, "The field `messages` is not what I like.", code="bad_messages")
    script_for(MODEL).answer(refusal, stream(reasoning("The log", " says"), text("It fails", " because"), CUT))
    ask(mitmweb)
    ask(mitmweb)
    expect(screen.rows.first).to_contain_text(f"❌ {MODEL} · turn 1 · ")
    expect(screen.rows.first).to_contain_text("failed: ")
    expect(screen.rows.first).to_contain_text("is not what I like")
    expect(screen.rows.last).to_contain_text(f"❌ {MODEL} · turn 2 · ")
    expect(screen.rows.last).to_contain_text("failed: ")
    screen.screenshot("failed-list")
    screen.open_flow(0)
    request = {"Conversation": (QUESTION,), "Chat request": (QUESTION,), "Changes": ("Ledger",)}
    look(screen, "Request", request, "refused")
    refused = {
        "Answer": ("failed", "The client was sent:", "is not what I like"),
        "Responses events": ("is not what I like",),
        "Upstream chunks": ("HTTP 422", "bad_messages"),
    }
    look(screen, "Response", refused, "refused")
    close_flow(screen)
    screen.open_flow(1)
    cut = {
        "Answer": ("failed: ", "It fails because", "closed the connection before its answer was complete"),
        "Responses events": ("response.output_text.delta [1] ×2", "response.failed"),
        "Upstream chunks": ("choices[0].delta.content ×2", "closed the connection"),
    }
    look(screen, "Response", cut, "cut")


def test_a_healed_turn(mitmweb: MitmwebProcess, screen: Screen, script_for: Callable[[str], Script]) -> None:
    script_for(MODEL).answer(REFUSAL, reply("It lacks zstd."))
    ask(mitmweb)
    expect(screen.rows).to_contain_text(f"🩹 {MODEL} · turn 1")
    expect(screen.rows).to_contain_text("completed")
    screen.screenshot("healed-list")
    screen.open_flow(0)
    request = {
        "Chat request": ("round 1 of 2", '"include_usage": true', "round 2 of 2"),
        "Changes": ("repaired  stream_options", "Rounds    2 upstream requests", "status 400"),
    }
    look(screen, "Request", request, "healed")
    response = {
        "Answer": ("completed", "It lacks zstd.", "Round 1   status 400", "Round 2   status 200"),
        "Responses events": ("response.completed",),
        "Upstream chunks": ("round 1 of 2", "HTTP 400", "round 2 of 2", "[DONE]"),
    }
    look(screen, "Response", response, "healed")


def test_a_truncated_turn(mitmweb: MitmwebProcess, screen: Screen, script_for: Callable[[str], Script]) -> None:
    script_for(MODEL).answer(stream(text("It fails", " because"), finish("length"), usage(), done()))
    ask(mitmweb)
    expect(screen.rows).to_contain_text(f"✂ {MODEL} · turn 1")
    expect(screen.rows).to_contain_text("incomplete: max_output_tokens")
    screen.open_flow(0)
    response = {
        "Answer": ("incomplete: max_output_tokens", "It fails because", "finish_reason length"),
        "Responses events": ("response.incomplete",),
        "Upstream chunks": ('"finish_reason": "length"',),
    }
    look(screen, "Response", response, "truncated")


def test_a_turn_that_its_client_left(
    mitmweb: MitmwebProcess, screen: Screen, script_for: Callable[[str], Script]
) -> None:
    gate = Gate()
    script_for(MODEL).answer(stream(text("It fails", " because"), gate))
    client = ask(mitmweb, read=False)
    gate.wait_reached()
    expect(screen.rows).to_contain_text("in progress")
    client.close()
    expect(screen.rows).to_contain_text(f"❌ {MODEL} · turn 1")
    expect(screen.rows).to_contain_text("cut: ")
    screen.open_flow(0)
    response = {"Answer": ("cut: ", "It fails because"), "Upstream chunks": ("choices[0].delta.content ×2",)}
    look(screen, "Response", response, "left")


def test_a_replay_by_its_button(mitmweb: MitmwebProcess, screen: Screen, script_for: Callable[[str], Script]) -> None:
    script, gate = script_for(MODEL), Gate()
    again = stream(text("It lacks", " zstd"), gate, text(" and zlib."), finish(), usage(), done())
    script.answer(reply("It lacks zstd."), again, reply("Nothing at all."))
    ask(mitmweb)
    expect(screen.rows).to_contain_text("completed")
    screen.open_flow(0)
    screen.replay()
    gate.wait_reached()
    expect(screen.rows).to_contain_text("in progress")
    screen.choose_tab("Response")
    expect(screen.view).to_contain_text("It lacks zstd")
    screen.screenshot("replay-running")
    gate.open()
    expect(screen.rows).to_contain_text(f"{MODEL} · turn 2")
    expect(screen.rows).to_contain_text("completed")
    look(screen, "Response", {"Answer": ("It lacks zstd and zlib.", "completed")}, "replayed")
    look(screen, "Request", {"Conversation": (QUESTION,), "Chat request": (QUESTION,)}, "replayed")
    screen.choose_view("Responses request")
    screen.edit(json.dumps({"model": MODEL, "stream": True, "prompt_cache_key": "thread", "input": "And now?"}))
    expect(screen.view).to_contain_text("And now?")
    screen.screenshot("edited-request")
    screen.replay()
    expect(screen.rows).to_contain_text(f"{MODEL} · turn 3")
    expect(screen.rows).to_contain_text("completed")
    look(screen, "Request", {"Conversation": ("And now?",), "Chat request": ("And now?",)}, "edited")
    look(screen, "Response", {"Answer": ("Nothing at all.",)}, "edited")
    assert script.requests[0].body == script.requests[1].body
    assert script.requests[2].messages[-1]["content"] == "And now?"
    assert {request.headers["authorization"] for request in script.requests} == {f"Bearer {UPSTREAM_KEY}"}


def test_a_capture(
    chromium: Browser,
    upstream: ScriptedUpstream,
    start_gateway: StartGateway,
    script_for: Callable[[str], Script],
    tmp_path: Path,
) -> None:
    capture = tmp_path / "capture.flows"
    script = script_for(MODEL)
    script.answer(
        stream(reasoning("The log", " says"), text("It lacks", " zstd."), finish(), usage(cached=64), done()),
        REFUSAL,
        reply("It lacks zstd."),
        stream(text("It fails", " because"), CUT),
    )
    gateway = start_gateway(arguments=["-w", str(capture)])
    for question in (QUESTION, QUESTION, "And now?"):
        ask(gateway, input=question)
    gateway.stop()
    with MitmwebProcess(upstream.url, tmp_path, arguments=["-r", str(capture)]) as web:
        screen = Screen(chromium, web.web_url)
        expect(screen.rows).to_have_count(3)
        for row, said in enumerate(("(64% cached) · ", f"🩹 {MODEL} · turn 2", f"❌ {MODEL} · turn 3")):
            expect(screen.rows.nth(row)).to_contain_text(said)
        screen.screenshot("capture-list")
        screen.open_flow(0)
        request = {
            "Conversation": (QUESTION,),
            "Responses request": ("POST /v1/responses", QUESTION),
            "Chat request": ("/v1/chat/completions", QUESTION),
            "Changes": ("the first request of its session",),
        }
        look(screen, "Request", request, "capture")
        response = {
            "Answer": ("The log says", "It lacks zstd.", "completed"),
            "Responses events": ("response.output_text.delta [1] ×2", "response.completed"),
            "Upstream chunks": ("choices[0].delta.content ×2", "[DONE]"),
        }
        look(screen, "Response", response, "capture")
        assert not screen.complaints
        screen.page.close()
