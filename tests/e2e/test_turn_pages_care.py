"""Nobody sees the pages about turns without the password, and hostile text stays text in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, expect

from e2e.environment import API_KEY
from e2e.mitmweb import PASSWORD, MitmwebProcess
from e2e.test_archive import turns
from e2e.test_sessions_pages import get, read
from e2e.test_turn_pages import chromium, look
from e2e.turn_pages import PATCH, ask, asked
from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages import routes
from upstream import Script, ScriptedUpstream, call, done, finish, reasoning, reply, stream, text, usage

__all__ = ["chromium", "look"]

ATTACKS = (
    "<img src=x onerror=\"document.title='pwned'\">",
    "<script>document.title='pwned'</script>",
    "\"'></svg></code></pre></details><svg onload=\"document.title='pwned'\">",
    "[a](javascript:document.title='pwned') [b](https://x.example/\"onmouseover=\"document.title='pwned')",
    "![c](https://x.example/a.png) <https://x.example/><iframe srcdoc=\"<script>parent.document.title='pwned'\">",
    "```\"><img src=x onerror=document.title='pwned'>\n</pre><script>document.title='pwned'</script>\n```",
    "| <b>a</b> |\n| --- |\n| <img src=x onerror=document.title='pwned'> |",
    "{{ 7 * 7 }} {% raw %} </style><style>body { display: none }</style> ]]> <!-- ",
    "diff --git a/<img src=x onerror=document.title='pwned'> b\n+<script>document.title='pwned'</script>",
    "data:text/html,<script>document.title='pwned'</script>",
)
HARMFUL = "script:not([src]), iframe, object, embed, [onerror], [onload], [onmouseover], [href^='javascript'], base"


def addresses(turn: Turn) -> list[str]:
    """Every address that answers about a turn."""
    session, here = routes.session_url(turn.session), routes.turn_url(turn.session, turn.id)
    exports = [f"{here}/export/{name}" for name in ("fixture", "curl-client", "curl-upstream", "transcript")]
    pages = [here, f"{here}?part=requests", f"{here}?part=streams", f"{here}/compare?with={turn.id}", f"{here}/ask"]
    sessions = [f"{session}/share", f"{session}/compare", f"{session}/compare?{urlencode({'with': turn.session})}"]
    return [*pages, *exports, f"{here}/share", *sessions]


def test_nobody_gets_an_answer_without_the_password(
    mitmweb: MitmwebProcess, script: Script, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    script.answer(reply(text="Paris."))
    ask(mitmweb, {"model": script.model, "input": [asked("The capital of France?")]})
    [turn] = turns(tmp_path / "mitmweb", 1)
    here = routes.turn_url(turn.session, turn.id)
    form = {"content_type": "application/x-www-form-urlencoded"}
    for path in (*addresses(turn), f"{here}/open"):
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            for headers in ({}, {"authorization": f"Bearer {API_KEY}"}, {"cookie": "mitmproxy-auth-8081=y"}):
                status, answered, body = get(mitmweb, path, method, **headers)
                assert status in (403, 405), (method, path)
                assert "France" not in body
                assert "set-cookie" not in answered or "auth" not in answered["set-cookie"]
    for path in (*addresses(turn), f"{here}?fragment="):
        status, headers, body = get(mitmweb, path, authorization=f"Bearer {PASSWORD}")
        assert status == 200, path
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "script-src 'self';" in headers["content-security-policy"]
    # The browser's cookie alone, as another site's form would send it, moves nothing.
    _, headers, _ = get(mitmweb, f"{here}?token={PASSWORD}")
    [cookie] = [one for one in headers.get_all("set-cookie") or [] if one.startswith("mitmproxy-auth")]
    for action in ("open", "ask"):
        status, _, _ = get(
            mitmweb, f"{here}/{action}", "POST", f"model={script.model}", cookie=cookie.partition(";")[0], **form
        )
        assert status == 403, action
    assert len(script.requests) == 1


def test_hostile_text_stays_text(
    mitmweb: MitmwebProcess, upstream: Any, look: Callable[..., Page], tmp_path: Path, chromium: Browser
) -> None:
    every = "\n\n".join(ATTACKS)
    short = ATTACKS[0]
    script: Script = upstream.script(short)
    script.answer(
        *[
            stream(
                reasoning(every),
                text(every),
                call(short, {"cmd": every, "patch": PATCH + every, short: every}).chunks(0),
                finish("tool_calls"),
                usage(prompt=9000, completion=80),
                done(),
                headers={"x-attack": ATTACKS[1]},
            )
            for _ in range(2)
        ]
    )
    headers = dict.fromkeys(("user-agent", "session-id", "thread-id", "x-openai-subagent"), short)
    parts = [{"type": "input_text", "text": every}]
    parts += [{"type": "input_image", "image_url": one} for one in (ATTACKS[9], ATTACKS[2], f"data:image/png,{short}")]
    conversation = [
        {"type": "message", "role": "user", "content": parts},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": every}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": every}]},
        {"type": "function_call", "name": "shell", "call_id": short, "arguments": every},
        {"type": "function_call_output", "call_id": short, "output": every},
        {"type": "custom_tool_call", "name": "apply_patch", "call_id": "2", "input": PATCH + every},
        {"type": "custom_tool_call_output", "call_id": "2", "output": every},
    ]
    tool = {"type": "function", "name": "shell", "description": every, "parameters": {"properties": {short: {}}}}
    body = {"model": short, "instructions": every, "tools": [tool], "metadata": {short: short}, "user": short}
    ask(mitmweb, {**body, "input": conversation}, headers)
    ask(mitmweb, {**body, "instructions": every[::-1], "input": conversation[:5]}, headers)
    first, second = turns(tmp_path / "mitmweb", 2)
    here = routes.turn_url(second.session, second.id)
    for path in (
        routes.turn_url(first.session, first.id),
        f"{here}?from=0",
        f"{here}?part=requests",
        f"{here}?part=streams",
        f"{here}?part={short}&from={short}",
        f"{here}/compare?with={first.id}",
        f"{here}/ask",
    ):
        page = look(path)
        for fold in page.locator("details").all():
            fold.evaluate("fold => { fold.open = true }")
        for mark in page.locator("[data-tip]").all()[:20]:
            mark.dispatch_event("mouseover", {"bubbles": True})
        assert_harmless(page)
    file = tmp_path / "shared.html"
    file.write_text(read(mitmweb, f"{routes.session_url(first.session)}/share"))
    page = chromium.new_page()
    page.goto(file.as_uri())
    assert_harmless(page)
    page.close()
    upstream.forget(short)


def assert_harmless(page: Page) -> None:
    expect(page.locator("main")).to_contain_text("onerror")
    assert page.title() != "pwned"
    assert page.locator(HARMFUL).count() == 0, page.locator(HARMFUL).first.evaluate("one => one.outerHTML")
    assert page.locator("img:not(.picture)").count() == 0
    for link in page.locator("main .prose a").all():
        assert re.match("https?://", link.get_attribute("href") or "")
        assert "noreferrer" in (link.get_attribute("rel") or "")
