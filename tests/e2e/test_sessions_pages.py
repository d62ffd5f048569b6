"""The pages about sessions on mitmweb's server: who gets an answer, and what it says."""

import http.client
from pathlib import Path

import pytest

from e2e.environment import API_KEY
from e2e.gateway import StartGateway
from e2e.mitmweb import PASSWORD, MitmwebProcess
from e2e.test_archive import turns
from e2e.test_inspection import ask
from responses_gateway.inspection.archive.rows import Turn
from responses_gateway.inspection.pages import routes
from responses_gateway.inspection.pages.templating import ASSETS
from upstream import Script, ScriptedUpstream, reply


def get(
    web: MitmwebProcess, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """Status, headers and body of an answer of mitmweb's server."""
    connection = http.client.HTTPConnection("127.0.0.1", web.web_port, timeout=20)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def read(web: MitmwebProcess, path: str) -> str:
    """A page, for whoever has the password."""
    status, _, body = get(web, path, authorization=f"Bearer {PASSWORD}")
    assert status == 200, body
    return body


@pytest.fixture
def turn(mitmweb: MitmwebProcess, script: Script, tmp_path: Path) -> Turn:
    """A turn in the archive of `mitmweb`."""
    script.answer(reply(text="Paris."))
    ask(mitmweb, {"model": script.model, "input": "The capital of France?", "prompt_cache_key": "geography"})
    return turns(tmp_path / "mitmweb", 1)[0]


def addresses(turn: Turn) -> list[str]:
    """Every address that the pages have."""
    pages = [routes.sessions_url(), routes.session_url(turn.session), routes.turn_url(turn.session, turn.id)]
    return [*pages, *(f"{page}?fragment=" for page in pages), *map(routes.static_url, ASSETS)]


def test_nobody_gets_an_answer_without_the_password(mitmweb: MitmwebProcess, turn: Turn) -> None:
    for path in addresses(turn):
        _, _, allowed = get(mitmweb, path, authorization=f"Bearer {PASSWORD}")
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            for headers in ({}, {"authorization": f"Bearer {API_KEY}"}, {"cookie": "mitmproxy-auth-8081=y"}):
                status, answered, body = get(mitmweb, path, method, **headers)
                assert status in (403, 405), (method, path)
                assert "France" not in body
                assert allowed not in body
                assert "set-cookie" not in answered or "auth" not in answered["set-cookie"]


def test_the_password_opens_them_and_headers_are_strict(mitmweb: MitmwebProcess, turn: Turn) -> None:
    for path in addresses(turn):
        status, headers, _ = get(mitmweb, path, authorization=f"Bearer {PASSWORD}")
        assert status == 200, path
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"]
    status, headers, _ = get(mitmweb, f"{routes.SESSIONS}?token={PASSWORD}")
    assert status == 200
    cookie = headers.get_all("set-cookie") or []
    [ours] = [one for one in cookie if one.startswith("mitmproxy-auth")]
    status, _, body = get(mitmweb, routes.SESSIONS, cookie=ours.partition(";")[0])
    assert (status, "The capital of France?" in body) == (200, True)


def test_the_password_can_be_typed(mitmweb: MitmwebProcess, turn: Turn) -> None:
    _, _, body = get(mitmweb, routes.session_url(turn.session))
    assert 'type="password"' in body
    headers = {"cookie": "_mitmproxy_xsrf=ab", "content_type": "application/x-www-form-urlencoded"}
    for form, wanted in ((f"token={PASSWORD}", 403), (f"token={PASSWORD}&_xsrf=ab", 303), ("token=x&_xsrf=ab", 403)):
        status, answered, _ = get(mitmweb, routes.session_url(turn.session), "POST", form, **headers)
        assert status == wanted
    assert answered.get("location") is None


def test_what_is_not_there(mitmweb: MitmwebProcess, turn: Turn) -> None:
    for path in (
        routes.session_url("nobody"),
        routes.turn_url(turn.session, "none"),
        routes.turn_url("nobody", turn.id),
        routes.static_url("base.html"),
        routes.static_url("..%2Faddon.py"),
    ):
        status, _, _ = get(mitmweb, path, authorization=f"Bearer {PASSWORD}")
        assert status == 404, path


def test_a_page_that_has_not_changed_is_not_sent_again(mitmweb: MitmwebProcess, turn: Turn) -> None:
    path = routes.session_url(turn.session)
    _, headers, _ = get(mitmweb, f"{path}?fragment=", authorization=f"Bearer {PASSWORD}")
    status, _, body = get(mitmweb, f"{path}?fragment={headers['x-version']}", authorization=f"Bearer {PASSWORD}")
    assert (status, body) == (204, "")


def test_saved_flows_give_the_same_pages(
    upstream: ScriptedUpstream, script: Script, start_gateway: StartGateway, tmp_path: Path
) -> None:
    saved = tmp_path / "session.flows"
    script.answer(reply(text="Paris."))
    gateway = start_gateway(arguments=("-w", str(saved)))
    ask(gateway, {"model": script.model, "input": "The capital of France?", "prompt_cache_key": "geography"})
    gateway.stop()
    home = tmp_path / "another"
    home.mkdir()
    with MitmwebProcess(upstream.url, home, arguments=("-r", str(saved))) as web:
        [turn] = turns(home, 1)
        assert "The capital of France?" in read(web, routes.SESSIONS)
        assert "The capital of France?" in read(web, routes.session_url("geography"))
        assert "completed" in read(web, routes.turn_url("geography", turn.id))


def test_pages_say_why_they_are_empty(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with MitmwebProcess(upstream.url, tmp_path, {"gateway_archive": "off"}) as web:
        status, _, body = get(web, routes.SESSIONS, authorization=f"Bearer {PASSWORD}")
        assert (status, "gateway_archive" in body) == (503, True)


def test_the_log_says_where_the_pages_are(mitmweb: MitmwebProcess) -> None:
    mitmweb.wait_log(rf"Sessions are shown at http://127\.0\.0\.1:{mitmweb.web_port}/sessions$", 10)
