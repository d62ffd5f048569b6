"""Killing a flow in mitmweb, or by its command, while the answer runs."""

import json
from collections.abc import Callable
from http.client import HTTPConnection, IncompleteRead

import pytest

from e2e.mitmweb import MitmwebProcess
from upstream import Ending, Gate, Script, finish, stream, text


def kill_in_page(mitmweb: MitmwebProcess, flow: str) -> None:
    mitmweb.web("POST", f"/flows/{flow}/kill")


def kill_by_command(mitmweb: MitmwebProcess, flow: str) -> None:
    mitmweb.command("flow.kill", "@all")


@pytest.mark.parametrize("kill", [kill_in_page, kill_by_command])
@pytest.mark.parametrize("before", [[text("Half an")], []], ids=["in the answer", "before it"])
def test_a_killed_turn_ends_on_both_sides(
    mitmweb: MitmwebProcess, script: Script, kill: Callable[[MitmwebProcess, str], None], before: list[object]
) -> None:
    gate = Gate()
    script.answer(stream(*before, gate, text(" answer."), finish()))  # type: ignore[arg-type]
    connection = HTTPConnection("127.0.0.1", mitmweb.port, timeout=60)
    body = json.dumps({"model": script.model, "input": "hi", "stream": True})
    connection.request("POST", "/v1/responses", body, {"content-type": "application/json"})
    gate.wait_reached()
    response = connection.getresponse()
    sent = b""
    while before and b"Half an" not in sent:
        sent += response.readline()
    flow = mitmweb.wait_flow(lambda flow: True)
    kill(mitmweb, flow["id"])
    try:
        sent += response.read()
    except IncompleteRead as rest:
        sent += rest.partial
    assert sent.count(b"event: response.failed") == 1
    assert b"The turn was killed in mitmproxy." in sent
    assert script.request.wait_ending() is Ending.CLIENT_LEFT
    assert mitmweb.wait_flow(lambda flow: flow.get("error"))["error"]["msg"] == "Connection killed."
    gate.open()
    connection.close()
