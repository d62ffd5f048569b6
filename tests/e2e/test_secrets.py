"""Keys and passwords are seen by nobody but whom they are for."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from e2e.gateway import GatewayProcess
from upstream import Answer, Script, ScriptedUpstream, completion, done, error, reply, stream, text

KEY = "sk-of-the-gateway-0001"
HEADER = "value-of-a-header-0002"
PASSWORD = "password-0003"
CLIENTS = {
    "x-litellm-api-key": "litellm-0004",
    "cf-access-client-secret": "cloudflare-0005",
    "openai-api-key": "openai-0006",
    "authorization": "Bearer authorization-0007",
    "cookie": "a=cookie-0008",
}
CLIENTS_SECRETS = ("litellm-0004", "cloudflare-0005", "openai-0006", "authorization-0007", "cookie-0008")
SECRETS = (KEY, HEADER, PASSWORD, *CLIENTS_SECRETS)


class Guarded:
    """A gateway with a key, a secret header, and a provider with a password that nobody answers for."""

    def __init__(self, upstream: str, home: Path) -> None:
        self.capture, self.log = home / "flows", home / "upstream.log"
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            nobody = f"http://user:{PASSWORD}@127.0.0.1:{unused.getsockname()[1]}/v1"
        config = {
            "upstream_log": str(self.log),
            "upstream_log_bodies": True,
            "retries": 0,
            "providers": {
                "mine": {"base_url": f"{upstream}/v1", "api_key": KEY, "headers": {"x-tenant": HEADER}},
                "nobody": {"base_url": nobody},
            },
            "models": {"nobody/*": "nobody", "*": "mine"},
        }
        (home / "gateway.yaml").write_text(json.dumps(config))
        (home / "gateway.yaml").chmod(0o600)
        options = {"gateway_config": str(home / "gateway.yaml"), "flow_detail": "3"}
        self.process = GatewayProcess(upstream, home, options, arguments=["-w", str(self.capture)])

    def post(self, path: str, **body: Any) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", self.process.port, timeout=60)
        try:
            connection.request("POST", path, json.dumps(body), CLIENTS)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def get(self, path: str) -> str:
        connection = HTTPConnection("127.0.0.1", self.process.port, timeout=60)
        try:
            connection.request("GET", path, headers=CLIENTS)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


@pytest.fixture
def guarded(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Guarded]:
    made = Guarded(upstream.url, tmp_path)
    with made.process as process:
        yield made
        assert not process.faults(), process.log
    kept = made.capture.read_bytes() + (made.log.read_bytes() if made.log.exists() else b"") + process.log.encode()
    assert kept
    for secret in SECRETS:
        assert secret.encode() not in kept


def test_what_is_saved_holds_no_secrets(guarded: Guarded, script: Script) -> None:
    script.answer(reply(f"{KEY} {HEADER}"))
    status, _ = guarded.post("/v1/responses", model=script.model, input=f"my key is {CLIENTS_SECRETS[2]}")
    assert status == 200
    assert script.request.headers["authorization"] == f"Bearer {KEY}"
    assert script.request.headers["x-tenant"] == HEADER
    assert not set(CLIENTS) - {"authorization"} & set(script.request.headers)


def test_an_address_that_cannot_be_reached(guarded: Guarded) -> None:
    for path in ("/v1/responses", "/v1/chat/completions"):
        status, body = guarded.post(path, model="nobody/m", input="hi", messages=[{"role": "user", "content": "hi"}])
        assert status == 502
        assert "127.0.0.1" in body
        assert PASSWORD not in body


INCORRECT = f"Incorrect API key provided: {KEY}, tenant {HEADER}."


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_refusal_that_repeats_the_key(guarded: Guarded, script: Script, path: str, streaming: bool) -> None:
    script.answer(error(401, INCORRECT))
    messages = [{"role": "user", "content": "hi"}]
    status, body = guarded.post(path, model=script.model, input="hi", messages=messages, stream=streaming)
    assert status == 401
    assert "Incorrect API key provided: [redacted]" in body
    assert KEY not in body
    assert HEADER not in body


@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_that_is_an_error_and_repeats_the_key(guarded: Guarded, script: Script, streaming: bool) -> None:
    script.answer(completion({"error": {"message": INCORRECT}}))
    _, body = guarded.post("/v1/responses", model=script.model, input="hi", stream=streaming)
    assert "Incorrect API key provided: [redacted]" in body
    assert KEY not in body


def test_an_error_behind_text_that_repeats_the_key(guarded: Guarded, script: Script) -> None:
    script.answer(stream(text("half"), {"error": {"message": INCORRECT}}, done()))
    _, body = guarded.post("/v1/responses", model=script.model, input="hi", stream=True)
    assert "Incorrect API key provided: [redacted]" in body
    assert KEY not in body
    created = json.loads(body.split("data: ", 1)[1].split("\n", 1)[0])
    stored = guarded.get(f"/v1/responses/{created['response']['id']}")
    assert "Incorrect API key provided: [redacted]" in stored
    assert KEY not in stored


def test_a_relayed_stream_that_repeats_the_key_in_pieces(guarded: Guarded, script: Script) -> None:
    whole = b"data: " + json.dumps({"error": {"message": INCORRECT}}).encode() + b"\n\ndata: [DONE]\n\n"
    pieces = [whole[at : at + 9] for at in range(0, len(whole), 9)]
    script.answer(Answer(pieces, 200, {"content-type": "text/event-stream"}))
    messages = [{"role": "user", "content": "hi"}]
    status, body = guarded.post("/v1/chat/completions", model=script.model, messages=messages, stream=True)
    assert status == 200
    assert body == whole.decode().replace(KEY, "[redacted]").replace(HEADER, "[redacted]")
