"""Upstreams that speak the Responses API themselves: nothing is translated, and everything else works as ever."""

import gzip
import json
import re
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from e2e.codex import LATEST, Codex
from e2e.command import run
from e2e.environment import API_KEY, UPSTREAM_KEY
from e2e.gateway import GatewayProcess, StartGateway
from e2e.llama import LlamaServer
from e2e.openai_client import SyncClient
from e2e.socket_client import open_socket
from upstream import CUT, Answer, Gate, Script, ScriptedUpstream, error, reply
from upstream import call as a_call
from upstream.answers import completion
from upstream.native import ID, beginning, message, native_event, native_reply, native_stream, response, said

TIMEOUT = 60
ENDS = ("response.completed", "response.failed", "error")
VOLATILE = re.compile(rb"(?<=_)[A-Za-z0-9]{20,}|(?<=\":)[0-9.e-]+")
CONFIG = """
provider: native
retries: {retries}
providers:
  native: {{profile: openai-compatible, base_url: "{url}/v1", api: {api}, api_key_env: TEST_UPSTREAM_KEY}}
  other: {{profile: openai-compatible, base_url: "{url}/v1", api_key: sk-key-of-the-other}}
"""


class Native:
    """A gateway in front of the scripted upstream, as one that speaks the Responses API."""

    def __init__(self, upstream: ScriptedUpstream, start: StartGateway, home: Path) -> None:
        self._upstream = upstream
        self._start = start
        self.home = home

    def __call__(
        self, api: str = "responses", retries: int = 0, options: dict[str, str] | None = None
    ) -> GatewayProcess:
        config = self.home / "config.yaml"
        config.write_text(CONFIG.format(url=self._upstream.url, api=api, retries=retries))
        chosen = {"gateway_config": str(config), "gateway_upstream": f"{self._upstream.url}/v1", **(options or {})}
        return self._start(chosen, environment={"TEST_UPSTREAM_KEY": UPSTREAM_KEY})


@pytest.fixture
def native(upstream: ScriptedUpstream, start_gateway: StartGateway, tmp_path: Path) -> Native:
    return Native(upstream, start_gateway, tmp_path)


def call(
    gateway: GatewayProcess, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    return call_port(gateway.port, method, path, body, **headers)


def call_port(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)) as connection:
        sent = {"content-type": "application/json", "authorization": f"Bearer {API_KEY}", **headers}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def body_of(model: str, **fields: Any) -> bytes:
    """A request as this project would not write it."""
    return json.dumps({"input": [{"role": "user", "content": "hi"}], **fields, "model": model}, indent=1).encode()


def whole(answer: Answer) -> bytes:
    return b"".join(piece for piece in answer.pieces if isinstance(piece, bytes))


def events(stream: bytes) -> list[dict[str, Any]]:
    lines = stream.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]


def test_request_and_stream_pass_byte_by_byte(native: Native, script: Script) -> None:
    gateway = native()
    items = [{"type": "call_of_tomorrow", "id": "x_1", "deep": [1.0, None]}]
    script.answer(answer := native_reply(items=items))
    sent = body_of(script.model, stream=True, tools=[{"type": "tool_of_tomorrow"}], temperature=17)
    status, headers, got = call(gateway, "POST", "/v1/responses", sent, **{"x-api-key": "sk-another-client-key"})
    assert (status, headers["x-request-id"]) == (200, "req_theirs")
    assert got == whole(answer)
    request = script.request
    assert (request.path, request.raw) == ("/v1/responses", sent)
    assert request.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    told = repr(request.headers)
    assert API_KEY not in told
    assert "sk-another-client-key" not in told


def test_a_whole_answer_passes_byte_by_byte(native: Native, script: Script) -> None:
    gateway = native()
    script.answer(answer := completion(response("completed", [message("Hello.")])))
    status, _, got = call(gateway, "POST", "/v1/responses", body_of(script.model))
    assert (status, got) == (200, whole(answer))


def test_openai_python(native: Native, script: Script) -> None:
    client = SyncClient(native().url)
    script.answer(native_reply("Hello."), completion(response("completed", [message("Whole.")])))
    _, final = client.stream(model=script.model, input="hi")
    assert (final.id, final.output_text) == (ID, "Hello.")
    assert final.usage is not None
    assert final.usage.input_tokens == 50
    assert client.create(model=script.model, input="hi").output_text == "Whole."


def test_a_socket_in_front_of_http(native: Native, script: Script) -> None:
    gateway = native()
    script.answer(native_reply("One."), native_reply("Two.", id="resp_second"))
    with open_socket(gateway.url) as socket:
        first = socket.turn(model=script.model, input=[{"role": "user", "content": "hi"}])
        assert first == events(whole(native_reply("One.")))
        second = socket.turn(model=script.model, input=[{"role": "user", "content": "on"}], previous_response_id=ID)
    assert second[-1]["response"]["id"] == "resp_second"
    assert script.requests[1].body["previous_response_id"] == ID


def test_a_steered_response_is_followed_when_it_is_complete(native: Native, script: Script) -> None:
    gateway, gate = native(), Gate()
    end = native_event("response.completed", 8, response=response("completed", [message("One.")]))
    script.answer(native_stream(beginning(), gate, said("One."), end), native_reply("Two.", id="resp_second"))
    with open_socket(gateway.url) as socket:
        socket.send(type="response.create", model=script.model, input="hi", stream_id="a")
        socket.until("response.in_progress")
        socket.send(type="response.steer", previous_response_id=ID, input="Shorter.")
        accepted = socket.receive()
        assert (accepted["type"], accepted["sequence_number"]) == ("response.steer.accepted", 2)
        gate.open()
        first = socket.until("response.completed")
        assert [event["sequence_number"] for event in first] == [3, 4, 5, 6, 7, 8, 9]
        second = socket.until("response.completed")
    assert {event["stream_id"] for event in (accepted, *first, *second)} == {"a"}
    assert second[-1]["response"]["id"] == "resp_second"
    body = script.requests[1].body
    assert body["previous_response_id"] == ID
    assert body["input"] == [{"type": "message", "role": "user", "content": "Shorter."}]
    assert "stream_id" not in script.requests[0].body


def test_codex_over_a_socket(native: Native, script: Script, tmp_path: Path) -> None:
    codex = Codex(LATEST, native().url, tmp_path / "codex")
    codex.configure_provider("supports_websockets = true")
    shell = codex.shell("echo from-the-shell", "call_a")
    wanted = {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": shell.name, "status": "completed"}
    script.answer(
        native_reply(items=[{**wanted, "arguments": "".join(shell.pieces)}]), native_reply("Done.", id="resp_second")
    )
    run = codex.exec("run it", script.model)
    assert (run.exit_code, run.messages) == (0, ["Done."]), f"{run}"
    assert "from-the-shell" in json.dumps(script.requests[1].body["input"])
    assert {request.path for request in script.requests} == {"/v1/responses"}


def test_codex(native: Native, script: Script, tmp_path: Path) -> None:
    codex = Codex(LATEST, native().url, tmp_path / "codex")
    shell = codex.shell("echo from-the-shell", "call_a")
    wanted = {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": shell.name, "status": "completed"}
    script.answer(
        native_reply(items=[{**wanted, "arguments": "".join(shell.pieces)}]), native_reply("Done.", id="resp_second")
    )
    run = codex.exec("run it", script.model).succeeded()
    assert run.messages == ["Done."]
    first, second = script.requests
    assert first.path == "/v1/responses"
    assert second.body["input"][: len(first.body["input"])] == first.body["input"]
    [result] = [item for item in second.body["input"] if item.get("type") == "function_call_output"]
    assert "from-the-shell" in json.dumps(result)
    assert (run.usage["input_tokens"], run.usage["cached_input_tokens"]) == (100, 20)


def test_a_stream_that_is_cut_ends_properly(native: Native, script: Script) -> None:
    gateway = native()
    script.answer(native_stream(beginning(), said("Half.")[:3], b'data: {"type": "resp', CUT))
    status, _, got = call(gateway, "POST", "/v1/responses", body_of(script.model, stream=True))
    assert status == 200
    end = events(got)[-1]
    assert (end["type"], end["sequence_number"], end["response"]["id"]) == ("response.failed", 5, ID)
    assert end["response"]["field_of_tomorrow"] == {"kept": True}
    assert got.startswith(whole(native_stream(beginning(), said("Half.")[:3])))


def test_a_stream_that_falls_silent_ends_properly(native: Native, script: Script) -> None:
    gateway = native(options={"gateway_idle_timeout": "1"})
    script.answer(native_stream(beginning(), Gate()))
    _, _, got = call(gateway, "POST", "/v1/responses", body_of(script.model, stream=True))
    end = events(got)[-1]
    assert end["type"] == "response.failed"
    assert "gateway_idle_timeout" in end["response"]["error"]["message"]


def test_silence_before_the_answer_has_heartbeats(native: Native, script: Script) -> None:
    gateway = native(options={"gateway_heartbeat": "0.1"})
    gate = Gate()
    script.answer(native_stream(gate, native_reply("Late.").pieces))
    with closing(HTTPConnection("127.0.0.1", gateway.port, timeout=TIMEOUT)) as connection:
        connection.request("POST", "/v1/responses", body_of(script.model, stream=True))
        answer = connection.getresponse()
        assert answer.readline() == b": keep-alive\n"
        gate.open()
        assert events(answer.read())[-1]["type"] == "response.completed"


@pytest.mark.parametrize("streaming", [True, False])
def test_what_may_pass_is_asked_again(native: Native, script: Script, streaming: bool) -> None:
    gateway = native(retries=2)
    fine = native_reply("Fine.") if streaming else completion(response("completed", [message("Fine.")]))
    script.answer(error(503, "later"), Answer([CUT], 0), fine)
    sent = body_of(script.model, stream=streaming)
    assert call(gateway, "POST", "/v1/responses", sent)[2] == whole(fine)
    assert [request.raw for request in script.requests] == [sent] * 3


@pytest.mark.parametrize("streaming", [True, False])
def test_a_fallback_is_translated(native: Native, script: Script, streaming: bool) -> None:
    gateway = native(options={"gateway_fallback": f"other/{script.model}-chat"})
    fallback = native._upstream.script(f"{script.model}-chat")
    script.answer(error(500, "broken"))
    fallback.answer(reply(text="Fine."))
    _, _, got = call(gateway, "POST", "/v1/responses", body_of(script.model, stream=streaming))
    answer = events(got)[-1]["response"] if streaming else json.loads(got)
    assert answer["output"][0]["content"][0]["text"] == "Fine."
    assert fallback.request.path == "/v1/chat/completions"
    assert fallback.request.headers["authorization"] == "Bearer sk-key-of-the-other"
    assert UPSTREAM_KEY not in repr(fallback.request.headers)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_native_fallback_is_not_translated(native: Native, script: Script, streaming: bool) -> None:
    gateway = native(options={"gateway_fallback": f"native/{script.model}"})
    first = native._upstream.script(f"{script.model}-chat")
    first.answer(error(500, "broken"))
    fine = native_reply("Fine.") if streaming else completion(response("completed", [message("Fine.")]))
    script.answer(fine)
    sent = body_of(f"other/{first.model}", stream=streaming)
    assert call(gateway, "POST", "/v1/responses", sent)[2] == whole(fine)
    assert script.request.raw == sent.replace(f"other/{first.model}".encode(), script.model.encode())
    assert "sk-key-of-the-other" not in repr(script.request.headers)


def test_an_upstream_without_the_api_is_asked_once(native: Native, script: Script) -> None:
    gateway = native(api="auto")
    script.answer(error(404, "Not Found"), reply(text="One."), reply(text="Two."))
    for _ in range(2):
        assert call(gateway, "POST", "/v1/responses", body_of(script.model))[0] == 200
    paths = [request.path for request in script.requests]
    assert paths == ["/v1/responses", "/v1/chat/completions", "/v1/chat/completions"]


def test_an_error_passes_without_keys(native: Native, script: Script) -> None:
    gateway = native()
    script.answer(error(401, f"Incorrect API key provided: {UPSTREAM_KEY}.", code="invalid_api_key"))
    status, _, got = call(gateway, "POST", "/v1/responses", body_of(script.model, stream=True))
    assert status == 401
    assert json.loads(got)["error"]["message"] == "Incorrect API key provided: [redacted]."
    assert UPSTREAM_KEY not in gateway.log


def test_an_id_says_whose_it_is(native: Native, script: Script, upstream: ScriptedUpstream) -> None:
    gateway = native(options={"gateway_store": "memory"})
    chat = upstream.script(f"{script.model}-chat")
    chat.answer(reply(text="Ours."))
    ours = json.loads(call(gateway, "POST", "/v1/responses", body_of(f"other/{chat.model}"))[2])["id"]
    script.answer(native_reply("Theirs."), native_reply("On."), native_reply("On."))
    for previous in (None, ours, ID):
        call(gateway, "POST", "/v1/responses", body_of(script.model, stream=True, previous_response_id=previous))
    _, after_ours, after_theirs = (request.body for request in script.requests)
    assert "previous_response_id" not in after_ours
    assert [item["role"] for item in after_ours["input"]] == ["user", "assistant", "user"]
    assert (after_theirs["previous_response_id"], len(after_theirs["input"])) == (ID, 1)
    kept = {
        ("GET", f"/v1/responses/{ID}"): completion(response("completed")),
        ("GET", f"/v1/responses/{ID}/input_items?limit=2"): completion({"object": "list", "data": []}),
        ("POST", f"/v1/responses/{ID}/cancel"): completion(response("cancelled")),
        ("DELETE", f"/v1/responses/{ID}"): completion({"id": ID, "deleted": True}),
    }
    for (method, path), answer in kept.items():
        upstream.kept[f"{method} {path}"] = answer
        assert call(gateway, method, path)[::2] == (200, whole(answer))
        assert upstream.kept_asked[-1].headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
        # Whose key another client has is another owner.
        assert call(gateway, method, path, authorization="Bearer sk-somebody-else")[0] == 404
    assert call(gateway, "GET", f"/v1/responses/{ours}")[0] == 200
    assert len(upstream.kept_asked) == len(kept)


def test_compaction_and_counting_pass(native: Native, script: Script) -> None:
    gateway = native()
    script.answer(
        compacted := completion({"id": "cmp", "object": "response.compaction", "output": [], "new": 1}),
        counted := completion({"object": "response.input_tokens", "input_tokens": 7}),
    )
    assert call(gateway, "POST", "/v1/responses/compact", body_of(script.model))[2] == whole(compacted)
    assert call(gateway, "POST", "/v1/responses/input_tokens", body_of(script.model))[2] == whole(counted)
    assert [request.path for request in script.requests] == ["/v1/responses/compact", "/v1/responses/input_tokens"]


def test_an_error_event_is_the_end(native: Native, script: Script) -> None:
    gateway = native()
    broken = native_event("error", 2, code="server_error", message="theirs", param=None)
    script.answer(answer := native_stream(beginning(), broken))
    assert call(gateway, "POST", "/v1/responses", body_of(script.model, stream=True))[2] == whole(answer)


def test_an_error_event_ends_the_turn_of_a_socket(native: Native, script: Script) -> None:
    gateway = native()
    broken = native_event("error", 2, code="server_error", message="theirs", param=None)
    script.answer(native_stream(beginning(), broken), native_reply("After all."))
    with open_socket(gateway.url) as socket:
        assert socket.turn(model=script.model, input="hi")[-1]["message"] == "theirs"
        assert socket.turn(model=script.model, input="hi")[-1]["type"] == "response.completed"


def test_a_socket_outlives_a_hostile_upstream(native: Native, script: Script) -> None:
    gateway = native()
    end = native_event("response.completed", 9, response=response("completed"))
    packed = gzip.compress(whole(native_reply("Packed.")))
    huge = b"data: " + json.dumps({"type": "response.of_tomorrow", "deep": "x" * 500_000}).encode() + b"\n\n"
    script.answer(
        native_stream(beginning(), end, end, said("Late.")),
        native_stream(beginning(), huge, b'data: {"type": 5}\n\n', b'data: {"type": "response.comp'),
        Answer([packed], 200, {"content-type": "text/event-stream", "content-encoding": "gzip"}),
        native_stream(beginning(), b'data: {"type": "error", "status": 401, "message": "sk-upstream"}\n\n'),
        native_reply("After all."),
    )
    ends = []
    with open_socket(gateway.url) as socket:
        for _ in range(5):
            told = socket.turn(model=script.model, input="hi")
            ends.append([event["type"] for event in told if event["type"] in ENDS])
    completed, failed = ["response.completed"], ["response.failed"]
    assert ends == [completed, failed, completed, ["error"], completed]


def test_check_says_which_api_was_used(native: Native, script: Script, tmp_path: Path) -> None:
    called = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "ping", "arguments": "{}"}
    script.answer(native_reply(items=[called]), error(405, "no"), reply(calls=[a_call("ping", {"word": "hello"})]))
    for api, words in (("responses", "(api: responses)"), ("auto", "(api: auto, and /responses gives HTTP 405)")):
        config = tmp_path / f"{api}.yaml"
        config.write_text(CONFIG.format(url=native._upstream.url, api=api, retries=0))
        checked = run(tmp_path, "check", "--config", str(config), "--model", f"native/{script.model}")
        assert checked.returncode == 0, checked
        assert words in checked.stdout


def test_llama_cpp_as_it_is(start_gateway: StartGateway, tmp_path: Path) -> None:
    """A real server, asked directly and through the gateway: all is the same but ids, times and counts."""
    (tmp_path / "llama").mkdir()
    with LlamaServer(tmp_path / "llama") as server:
        config = tmp_path / "config.yaml"
        config.write_text(f'providers: {{real: {{profile: llamacpp, base_url: "{server.url}/v1", api: responses}}}}\n')
        gateway = start_gateway({"gateway_config": str(config)}, url=server.url)
        direct = int(server.url.rpartition(":")[2])
        for streaming in (True, False):
            asked = json.dumps({"model": "tiny", "input": "hi", "seed": 11, "stream": streaming}).encode()
            answers = [call_port(port, "POST", "/v1/responses", asked) for port in (gateway.port, direct)]
            assert [status for status, *_ in answers] == [200, 200]
            assert steady(answers[0][2]) == steady(answers[1][2])
            assert b"output_text" in answers[0][2]


def test_a_conversation_of_the_gateway_goes_on_at_a_native_upstream(native: Native, script: Script) -> None:
    gateway = native(options={"gateway_store": "memory"})
    made = call(gateway, "POST", "/v1/conversations", b'{"items": [{"role": "user", "content": "Before."}]}')
    conversation = json.loads(made[2])["id"]
    script.answer(native_reply("One."), completion(response("completed", [message("Two.")])))
    for streaming in (True, False):
        sent = body_of(script.model, stream=streaming, conversation=conversation)
        assert call(gateway, "POST", "/v1/responses", sent)[0] == 200
    first, second = (request.body for request in script.requests)
    assert "conversation" not in first
    assert [item["role"] for item in first["input"]] == ["user", "user"]
    assert [item["role"] for item in second["input"]] == ["user", "user", "assistant", "user"]
    listed = json.loads(call(gateway, "GET", f"/v1/conversations/{conversation}/items?order=asc")[2])["data"]
    assert [item["role"] for item in listed] == ["user", "user", "assistant", "user", "assistant"]
    assert [item["content"][0]["text"] for item in listed if item["role"] == "assistant"] == ["One.", "Two."]


def test_a_restart_forgets_neither_ids_nor_apis(native: Native, script: Script, upstream: ScriptedUpstream) -> None:
    options = {"gateway_store": "sqlite", "gateway_store_path": str(native.home / "store.sqlite3")}
    before = native(options=options)
    script.answer(native_reply("Theirs."))
    call(before, "POST", "/v1/responses", body_of(script.model, stream=True))
    before.stop()
    upstream.kept[f"GET /v1/responses/{ID}"] = answer = completion(response("completed"))
    auto = native(api="auto", options=options)
    assert call(auto, "GET", f"/v1/responses/{ID}")[::2] == (200, whole(answer))
    assert call(auto, "GET", f"/v1/responses/{ID}", authorization="Bearer sk-somebody-else")[0] == 404
    stolen = body_of(script.model, previous_response_id=ID)
    status, _, told = call(auto, "POST", "/v1/responses", stolen, authorization="Bearer sk-somebody-else")
    assert (status, json.loads(told)["error"]["code"]) == (400, "previous_response_not_found")
    script.answer(error(404, "Not Found"), reply(text="One."))
    assert call(auto, "POST", "/v1/responses", body_of(script.model))[0] == 200
    auto.stop()
    script.answer(reply(text="Two."))
    again = native(api="auto", options=options)
    assert call(again, "POST", "/v1/responses", body_of(script.model))[0] == 200
    refused = call(again, "POST", "/v1/responses", body_of(script.model, previous_response_id=ID))
    assert (refused[0], "kept by the provider native" in refused[2].decode()) == (400, True)
    paths = [request.path for request in script.requests]
    assert paths == ["/v1/responses", "/v1/responses", "/v1/chat/completions", "/v1/chat/completions"]


def test_a_fallback_that_cannot_continue_a_response_is_not_asked(native: Native, script: Script) -> None:
    gateway = native(options={"gateway_fallback": f"other/{script.model}-chat"})
    script.answer(native_reply("Theirs."), error(500, "broken"))
    call(gateway, "POST", "/v1/responses", body_of(script.model, stream=True))
    status, _, told = call(gateway, "POST", "/v1/responses", body_of(script.model, previous_response_id=ID))
    assert (status, json.loads(told)["error"]["message"]) == (500, "broken")


def steady(body: bytes) -> bytes:
    return VOLATILE.sub(b"_", body)
