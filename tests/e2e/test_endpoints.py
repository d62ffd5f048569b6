"""Model lists, health, chat/completions, several providers, and changes while the gateway runs."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from e2e.gateway import GatewayProcess, StartGateway
from e2e.test_access import ask
from upstream import CUT, Answer, Script, ScriptedUpstream, chunk, error, reply, stream, text

ALPHA_KEY, BETA_KEY, CLIENT_KEY = "sk-alpha", "sk-beta", "sk-of-the-client"


@pytest.fixture
def listing(upstream: ScriptedUpstream) -> Iterator[ScriptedUpstream]:
    """The scripted upstream, with a model list."""
    upstream.listings.clear()
    upstream.models = [
        {"id": "vendor/small-1", "object": "model", "created": 7, "context_length": 65536},
        {"id": "kimi-k2.6", "object": "model"},
    ]
    yield upstream
    upstream.models = None


def test_the_upstreams_list_and_the_cards_are_merged(start_gateway: StartGateway, listing: ScriptedUpstream) -> None:
    gateway = start_gateway()
    for path in ("/v1/models", "/models", "/v1/models?client_version=0.169.0"):
        body = json.loads(ask(gateway, "GET", path).body)
        assert body["object"] == "list"
        assert {row["id"] for row in body["data"]} == {"small-1", "kimi-k2.6"}
        windows = {entry["slug"]: entry["context_window"] for entry in body["models"]}
        assert windows["small-1"] == 65536
        assert windows["kimi-k2.6"] == 262144
    assert len(listing.listings) == 1
    one = json.loads(ask(gateway, "GET", "/v1/models/small-1").body)
    assert (one["id"], one["object"], one["created"]) == ("small-1", "model", 7)
    assert ask(gateway, "GET", "/v1/models/vendor-less").status == 404
    assert ask(gateway, "GET", "/v1/v1/models").status == 404
    assert ask(gateway, "POST", "/v1/models", {}).headers["allow"] == "GET"


def test_an_upstream_without_a_list_has_the_cards(start_gateway: StartGateway) -> None:
    with ScriptedUpstream() as bare:
        bare.has_list = False
        body = json.loads(ask(start_gateway(url=bare.url), "GET", "/v1/models").body)
        assert [request.path for request in bare.listings] == ["/v1/models"]
    assert "kimi-k2.6" in {entry["slug"] for entry in body["models"]}


def test_health(start_gateway: StartGateway) -> None:
    with ScriptedUpstream() as upstream:
        gateway = start_gateway(url=upstream.url)
        assert json.loads(ask(gateway, "GET", "/healthz").body) == {"status": "ok"}
        assert not upstream.listings
        assert json.loads(ask(gateway, "GET", "/readyz").body) == {"status": "ready"}
        assert "authorization" not in upstream.listings[0].headers
        port = upstream.port
    gone = ask(gateway, "GET", "/readyz")
    assert gone.status == 503
    assert str(port) not in gone.body.decode()
    assert ask(gateway, "GET", "/health").status == 200


def test_verbose_health_tells_the_state_of_the_upstreams(start_gateway: StartGateway) -> None:
    with ScriptedUpstream() as upstream:
        options = {"gateway_api_key_env": "MY_KEY", "gateway_model": "m-large"}
        gateway = start_gateway(options, environment={"MY_KEY": "sk-mine"}, url=upstream.url)
        ask(gateway, "GET", "/v1/models")
        told = ask(gateway, "GET", "/healthz?verbose")
        state = json.loads(told.body)
        assert (state["status"], state["default_model"]) == ("ok", "m-large")
        [here] = state["upstreams"]
        assert here.pop("milliseconds") >= 0
        assert here == {
            "name": "openai-compatible",
            "base_url": f"{upstream.url}/v1",
            "has_key": True,
            "reachable": True,
            "status": 200,
            "models": 0,
        }
        assert b"sk-mine" not in told.body
    [gone] = json.loads(ask(gateway, "GET", "/healthz?verbose=1").body)["upstreams"]
    assert gone["reachable"] is False
    assert str(upstream.port) in gone["error"]


def test_head_has_the_head_of_get_and_no_body(gateway: GatewayProcess) -> None:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    with closing(connection):
        for path, status in (("/healthz", 200), ("/v1/responses", 405), ("/nowhere", 404), ("/healthz", 200)):
            connection.request("HEAD", path)
            response = connection.getresponse()
            assert (response.status, response.read()) == (status, b"")
            # A body would be taken for the beginning of this answer.
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (status, True)


def test_chat_completions_pass_through(gateway: GatewayProcess, script: Script) -> None:
    script.answer(reply(text="whole"), reply(text="streamed"), error(422, "no such thing", type="odd"))
    body = {"model": script.model, "messages": [{"role": "user", "content": "hi"}], "vendor_field": {"kept": 1}}
    whole = json.loads(ask(gateway, "POST", "/v1/chat/completions", body).body)
    assert whole["choices"][0]["message"]["content"] == "whole"
    answered = ask(gateway, "POST", "/chat/completions", {**body, "stream": True})
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert b"chat.completion.chunk" in answered.body
    assert answered.body.endswith(b"data: [DONE]\n\n")
    refused = ask(gateway, "POST", "/v1/chat/completions", body)
    assert (refused.status, json.loads(refused.body)["error"]["type"]) == (422, "odd")
    assert [request.body for request in script.requests] == [body, {**body, "stream": True}, body]


def test_a_chat_stream_that_breaks_off_says_so(gateway: GatewayProcess, script: Script) -> None:
    begun = stream(*text("half"))
    assert isinstance(begun, Answer)
    script.answer(Answer([*begun.pieces[:1], CUT], 200, begun.headers))
    body = {"model": script.model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answered = ask(gateway, "POST", "/v1/chat/completions", body)
    last = json.loads(answered.body.rstrip().rsplit(b"data: ", 1)[1])
    assert last["error"]["type"] == "server_error"
    assert chunk()["object"].encode() in answered.body


def test_chat_completions_of_an_upstream_that_is_down(start_gateway: StartGateway) -> None:
    with ScriptedUpstream() as upstream:
        url = upstream.url
    answered = ask(start_gateway(url=url), "POST", "/v1/chat/completions", {"model": "m", "messages": []})
    assert (answered.status, answered.code) == (502, "server_error")


def test_no_key_reaches_another_provider(start_gateway: StartGateway, tmp_path: Path) -> None:
    with ScriptedUpstream() as alpha, ScriptedUpstream() as beta:
        alpha.models = [{"id": "lab/a-model"}]
        beta.models = [{"id": "b-model"}]
        config = tmp_path / "config.yaml"
        config.write_text(
            f"providers:\n"
            f"  alpha: {{base_url: '{alpha.url}/v1', api_key: $ALPHA_KEY}}\n"
            f"  beta: {{base_url: '{beta.url}/v1', api_key: {BETA_KEY}}}\n"
            f"models:\n  nick: beta/b-model\n"
        )
        config.chmod(0o600)
        gateway = start_gateway({"gateway_config": str(config)}, environment={"ALPHA_KEY": ALPHA_KEY}, url=alpha.url)
        scripts = {"lab/a-model": alpha.script("lab/a-model"), "b-model": beta.script("b-model")}
        for script in scripts.values():
            script.always(reply(text="ok"))
        listed = json.loads(ask(gateway, "GET", "/v1/models").body)["data"]
        assert {"a-model", "b-model", "nick"} <= {row["id"] for row in listed}
        for model in ("a-model", "alpha/lab/a-model", "b-model", "beta/b-model", "nick"):
            for path, content in (("/v1/responses", {"input": "hi"}), ("/v1/chat/completions", {"messages": []})):
                headers = {"authorization": f"Bearer {CLIENT_KEY}", "x_api_key": CLIENT_KEY}
                answered = ask(gateway, "POST", path, {"model": model, **content}, **headers)
                assert answered.status == 200, answered
        assert ask(gateway, "GET", "/readyz").status == 200
        seen = {
            ALPHA_KEY: [*alpha.listings, *scripts["lab/a-model"].requests],
            BETA_KEY: [*beta.listings, *scripts["b-model"].requests],
        }
        assert [len(requests) for requests in seen.values()] == [6, 8]
        for own, requests in seen.items():
            asked_with_key = [request.headers.get("authorization") for request in requests if request.body]
            assert asked_with_key == [f"Bearer {own}"] * len(asked_with_key)
            for request in requests:
                for foreign in {ALPHA_KEY, BETA_KEY, CLIENT_KEY} - {own}:
                    assert foreign not in f"{request.path} {request.headers} {request.raw!r}"


def test_a_changed_file_takes_effect_and_a_bad_one_does_not(
    start_gateway: StartGateway, listing: ScriptedUpstream, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("models: {first: kimi-k2.6}\n")
    gateway = start_gateway({"gateway_config": str(config)})

    def ids() -> set[str]:
        return {row["id"] for row in json.loads(ask(gateway, "GET", "/v1/models").body)["data"]}

    def ask_until_logged(pattern: str) -> None:
        """The file is looked at when a request comes, and at most once a second."""
        deadline = time.monotonic() + 60
        while pattern not in gateway.log:
            assert time.monotonic() < deadline, gateway.log
            ids()

    assert "first" in ids()
    config.write_text("models: {second: kimi-k2.6}\n")
    ask_until_logged("was read again")
    assert {"second", "small-1"} <= ids()
    assert "first" not in ids()
    assert len(listing.listings) == 2
    config.write_text("modles: {third: kimi-k2.6}\n")
    ask_until_logged("did you mean 'models'?")
    assert "stay in use" in gateway.log
    assert "second" in ids()


def test_an_unknown_option_of_the_gateway_is_refused(start_gateway: StartGateway) -> None:
    with pytest.raises(TimeoutError, match="gateway_idel_timeout; did you mean 'gateway_idle_timeout'"):
        start_gateway({"gateway_idel_timeout": "3"}).wait_log("no such line")
