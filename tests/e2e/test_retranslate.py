"""`gateway.retranslate` over captures: unchanged code makes no difference, changed code does."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from e2e.codex import LATEST, Codex
from e2e.gateway import GatewayProcess, StartGateway
from e2e.mitmweb import MitmwebProcess
from e2e.test_choices_and_formats import CONFIG
from upstream import (
    CUT,
    Answer,
    Gate,
    Script,
    ScriptedUpstream,
    call,
    completion,
    done,
    error,
    finish,
    reasoning,
    reply,
    stream,
    text,
    usage,
)
from upstream.search import ScriptedWeb

TOOL = {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {"cmd": {}}}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}

CHANGE = """
from responses_gateway.turn import upstream_request as chat_request

translate = chat_request.translate_request

def changed(*arguments, **options):
    translation = translate(*arguments, **options)
    translation.body["messages"].append({"role": "assistant!"})
    return translation

chat_request.translate_request = changed
"""


class Client:
    """A client with a model of its own."""

    def __init__(self, gateway: GatewayProcess, script: Script) -> None:
        self.gateway = gateway
        self.script = script

    def ask(self, *answers: Any, path: str = "/v1/responses", leaves: Gate | None = None, **body: Any) -> str:
        """A turn for which the upstream gives `answers`; returns the response's id."""
        self.script.answer(*answers)
        request = {"model": self.script.model, "input": "Go on.", "prompt_cache_key": "thread", "stream": True, **body}
        connection = HTTPConnection("127.0.0.1", self.gateway.port, timeout=60)
        connection.request("POST", path, json.dumps(request), {"content-type": "application/json"})
        content = b""
        if leaves is not None:
            leaves.wait_reached()
        else:
            with suppress(IncompleteRead):
                content = connection.getresponse().read()
        connection.close()
        found = content.partition(b'"id":"resp_')[2].partition(b'"')[0]
        return f"resp_{found.decode()}"


def plain(client: Client) -> None:
    client.ask(stream(reasoning("Let me", " see."), text("I", " look."), finish(), usage(), done()))
    client.ask(reply("Whole.", reasoning="CarriedReasoning."), stream=False)
    client.ask(stream(text("It stops"), finish("length"), usage(), done()))


def healed(client: Client) -> None:
    client.ask(error(400, "Unsupported parameter: 'stream_options'"), reply("Healed."))
    client.ask(reply("LearnedRepairs."))
    client.ask(error(503, "later"), error(503, "later"), reply("Retried."), stream=False)
    client.ask(stream(finish(), done()), reply("Not empty."))


def failed(client: Client) -> None:
    client.ask(error(422, "No."))
    client.ask(error(401, "Wrong key."), stream=False)
    client.ask(stream(text("Hel"), CUT))
    client.ask(Answer([CUT], 0), Answer([CUT], 0), Answer([CUT], 0))
    client.ask(Answer([Gate()], 0))
    client.ask(stream(text("Hel"), Gate()))


def left(client: Client) -> None:
    gate = Gate()
    client.ask(stream(text("one", " two"), gate), leaves=gate)
    client.gateway.wait_log("Client disconnected|client disconnect")


def stored(client: Client) -> None:
    first = client.ask(reply("First.", reasoning="Hm.", calls=[call("shell", {"cmd": "ls"})]), tools=[TOOL])
    output = {"type": "function_call_output", "call_id": "call_1", "output": "total 0"}
    second = client.ask(reply("Second."), previous_response_id=first, input=[output], tools=[TOOL])
    client.ask(reply("Third."), previous_response_id=second, stream=False)
    client.ask(reply("Other branch."), previous_response_id=first, input=[output], stream=False)


def searching(client: Client) -> None:
    searches = [call("web_search", {"query": "height"}), call("web_search", {"query": "width"}, "call_2")]
    tools = [{"type": "web_search"}]
    found = "330 m ([The Tower](https://example.org/tower))."
    client.ask(reply(calls=[searches[0]]), reply(calls=[searches[1]]), reply(found), tools=tools)
    client.ask(reply(calls=searches), reply(found), tools=tools, stream=False)
    finding = [call("tool_search", {"query": "shell"}), call("tool_search", {"paths": ["nothing"]}, "call_2")]
    deferred = [{**TOOL, "defer_loading": True}, {"type": "tool_search"}]
    client.ask(reply(calls=finding), reply(calls=[call("shell", {"cmd": "ls"})]), tools=deferred)


def corrected(client: Client) -> None:
    text_format = {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}
    client.ask(reply('{"m": "one"}'), reply('{"n": 1}'), text=text_format, stream=False)


def compacted(client: Client) -> None:
    client.ask(reply("A summary."), path="/v1/responses/compact")


def odd(client: Client) -> None:
    """A whole answer for a client that wants a stream."""
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Whole."}, "finish_reason": "stop"}]}
    client.ask(completion(body))


KINDS: list[tuple[Callable[[Client], None], int]] = [
    (plain, 3),
    (healed, 4),
    (failed, 6),
    (left, 1),
    (stored, 4),
    (searching, 3),
    (corrected, 1),
    (compacted, 1),
    (odd, 1),
]


def retranslated(
    upstream: ScriptedUpstream, home: Path, capture: Path, *arguments: str, options: Mapping[str, str] | None = None
) -> list[str]:
    home.mkdir()
    with MitmwebProcess(upstream.url, home, options, ["-r", str(capture), *arguments]) as web:
        web.wait_flow(lambda _: True)
        told: list[str] = web.command("gateway.retranslate", "@all")
        assert not web.faults(), web.log
        return told


@pytest.mark.parametrize(("make", "turns"), KINDS, ids=[make.__name__ for make, _ in KINDS])
def test_unchanged_code_makes_no_difference(
    upstream: ScriptedUpstream,
    start_gateway: StartGateway,
    script: Script,
    tmp_path: Path,
    make: Callable[[Client], None],
    turns: int,
) -> None:
    capture = tmp_path / "capture.flows"
    with ScriptedWeb(results=[{"title": "The Tower", "url": "https://example.org/tower", "text": "330 m."}]) as web:
        options = {
            "gateway_first_byte_timeout": "0.5",
            "gateway_idle_timeout": "0.5",
            "gateway_search": "brave",
            "gateway_search_url": web.url,
            "gateway_search_private_hosts": web.host,
        }
        today = {"gateway_secret_file": str(tmp_path / "secret")}
        if make is corrected:
            today["gateway_config"] = str(tmp_path / "config.yaml")
            (tmp_path / "config.yaml").write_text(CONFIG.format(url=upstream.url))
        gateway = start_gateway({**options, **today}, ["-w", str(capture)], {"BRAVE_SEARCH_API_KEY": "brave"})
        make(Client(gateway, script))
        gateway.stop()
    told = retranslated(upstream, tmp_path / "today", capture, options=today)
    assert told == [f"{turns} turns retranslated: no difference"]
    changed = tmp_path / "changed.py"
    changed.write_text(CHANGE)
    told = retranslated(upstream, tmp_path / "changed", capture, "-s", str(changed), options=today)
    assert told[-1] == f"{turns} turns retranslated: {turns} different"
    assert any(line.startswith("+") and '"assistant!"' in line for line in told)


def test_a_turn_without_its_history_is_not_compared(
    upstream: ScriptedUpstream, start_gateway: StartGateway, script: Script, tmp_path: Path
) -> None:
    capture = tmp_path / "capture.flows"
    first = Client(start_gateway(arguments=["--set", "gateway_store_path=" + str(tmp_path / "s")]), script).ask(
        reply("First.")
    )
    arguments = ["--set", "gateway_store_path=" + str(tmp_path / "s"), "-w", str(capture)]
    gateway = start_gateway(arguments=arguments)
    Client(gateway, script).ask(reply("Second."), previous_response_id=first)
    gateway.stop()
    note, verdict = retranslated(upstream, tmp_path / "today", capture)
    assert "not compared: its history is not among these flows" in note
    assert verdict == "1 turns retranslated: no difference, 1 not compared"


@pytest.mark.parametrize("transport", ["http", "websocket"])
def test_a_long_codex_session(
    upstream: ScriptedUpstream, start_gateway: StartGateway, script: Script, tmp_path: Path, transport: str
) -> None:
    capture = tmp_path / "codex.flows"
    gateway = start_gateway(arguments=["-w", str(capture)])
    codex = Codex(LATEST, gateway.url, tmp_path / "codex")
    if transport == "websocket":
        codex.configure_provider("supports_websockets = true")
    script.answer(
        *[
            reply(text=f"Step {step}.", reasoning="Go on.", calls=[codex.shell(f"echo {step}", f"call_{step}")])
            for step in range(12)
        ],
        reply(text="Done."),
    )
    codex.exec("do it step by step", script.model, timeout=120).succeeded()
    gateway.stop()
    assert retranslated(upstream, tmp_path / "today", capture) == ["13 turns retranslated: no difference"]
    changed = tmp_path / "changed.py"
    changed.write_text(CHANGE)
    told = retranslated(upstream, tmp_path / "changed", capture, "-s", str(changed))
    assert told[-1] == "13 turns retranslated: 13 different"
