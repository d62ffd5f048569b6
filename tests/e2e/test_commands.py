"""Every subcommand, run as documented."""

import json
import os
import socket
import stat
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.command import StartedGateway, environment, run
from upstream import Request, Responder, ScriptedUpstream, call, error, reply

KEY = "sk-of-the-provider"


def obey(request: Request) -> Responder:
    """Call the tool that is offered."""
    return reply(calls=[call(request.tool("ping"), {"word": "hello"})])


@pytest.fixture
def provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        server.models = [{"id": "m-large", "context_length": 131072}]
        yield server


def configure(home: Path, provider: ScriptedUpstream, answers: str = "") -> tuple[int, str]:
    """Set up the provider under the name `mine`."""
    typed = f"mine\n{KEY}\n{answers}"
    ended = run(home, "configure", "--provider", f"{provider.url}/v1", "--model", "m-large", stdin=typed)
    assert KEY not in ended.stdout + ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def config_file(home: Path) -> Path:
    return home / ".config" / "responses-gateway" / "config.yaml"


def test_configure_models_check_and_start(tmp_path: Path, provider: ScriptedUpstream) -> None:
    script = provider.script("m-large")
    script.answer(obey, obey, reply(text="It works.", reasoning="Let me think."))
    status, said = configure(tmp_path, provider)
    assert status == 0, said
    assert "streams, calls a tool" in said
    assert stat.S_IMODE(config_file(tmp_path).stat().st_mode) == 0o600

    listed = run(tmp_path, "models")
    assert listed.returncode == 0
    assert ["m-large", "mine", "m-large", "131072", "?"] in [line.split() for line in listed.stdout.splitlines()]

    checked = run(tmp_path, "check")
    assert checked.returncode == 0
    [line] = checked.stdout.splitlines()
    assert line.startswith("ok    mine: reachable, key accepted")
    assert line.endswith("model m-large exists, streams, calls a tool")
    assert "Calling m-large" in checked.stderr

    with StartedGateway(tmp_path, "--raw") as gateway:
        body = json.dumps({"input": "hi", "stream": True}).encode()
        asked = urllib.request.Request(f"{gateway.url}/v1/responses", body, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert b"response.completed" in answer.read()
        gateway.wait_log("Let me think.")
        gateway.wait_log("It works.")
    assert [request.headers["authorization"] for request in script.requests] == [f"Bearer {KEY}"] * 3
    script.verify()


def test_configure_keeps_the_rest_of_the_file(tmp_path: Path, provider: ScriptedUpstream) -> None:
    provider.script("m-large").answer(obey)
    config_file(tmp_path).parent.mkdir(parents=True)
    config_file(tmp_path).write_text("# mine\nidle_timeout: 60  # a minute\nproviders:\n  zai: {api_key: $ZAI}\n")
    assert configure(tmp_path, provider)[0] == 0
    text = config_file(tmp_path).read_text()
    assert text.startswith("# mine\nidle_timeout: 60  # a minute\nproviders:\n  zai: {api_key: $ZAI}\n")
    assert stat.S_IMODE(config_file(tmp_path).stat().st_mode) == 0o600


def test_a_key_that_is_refused_is_not_written_unasked(tmp_path: Path, provider: ScriptedUpstream) -> None:
    refusal = error(401, "Incorrect API key provided", code="invalid_api_key")
    provider.script("m-large").answer(refusal, refusal, refusal)
    status, said = configure(tmp_path, provider, "no\n")
    assert status == 1
    assert "FAIL  mine: reachable" in said
    assert "nothing was written" in said
    assert not config_file(tmp_path).exists()
    assert configure(tmp_path, provider, "yes\n")[0] == 1
    assert config_file(tmp_path).exists()
    checked = run(tmp_path, "check")
    assert (checked.returncode, checked.stdout[:4]) == (1, "FAIL")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (error(404, "The model `m-large` does not exist", code="model_not_found"), "does not exist"),
        (reply(text="hello"), "did not call the tool"),
    ],
    ids=["no model", "no tool"],
)
def test_what_check_finds_wrong(tmp_path: Path, provider: ScriptedUpstream, answer: Responder, words: str) -> None:
    provider.script("m-large").answer(answer)
    arguments = ("check", "--model", "m-large")
    checked = run(tmp_path, *arguments, more={"RESPONSES_GATEWAY_UPSTREAM": f"{provider.url}/v1"})
    assert checked.returncode == 1
    assert words in checked.stdout


def test_commands_without_a_provider_say_what_to_do(tmp_path: Path) -> None:
    for command in ("models", "check"):
        ended = run(tmp_path, command)
        assert ended.returncode == 1
        assert "-m responses_gateway configure`" in ended.stderr
    nobody = run(tmp_path, "configure")
    assert nobody.returncode == 1
    assert "needs a terminal" in nobody.stderr


def toml(text: str) -> dict[str, Any]:
    """The Codex configuration in what a start prints."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ") and not line.startswith("    curl")]
    return tomllib.loads("\n".join(lines))


def test_a_start_names_the_models_of_its_upstream(tmp_path: Path, provider: ScriptedUpstream) -> None:
    provider.models = [{"id": "text-embedding-3"}, *({"id": f"org/m-{number}"} for number in range(10))]
    with StartedGateway(tmp_path, "--upstream", f"{provider.url}/v1") as gateway:
        assert toml(gateway.log)["model"] == "m-0"
        assert '"model": "m-0"' in gateway.log
        gateway.wait_log(r"Models to ask for       text-embedding-3, m-0, .*, m-6 and 3 more")
        gateway.wait_log(f"codex-config --write --port {gateway.port}, ")
        asked = run(tmp_path, "codex-config", "--port", str(gateway.port))
        assert tomllib.loads(asked.stdout)["model"] == "m-0"
    with StartedGateway(tmp_path, "--upstream", f"{provider.url}/v1", "--model", "mine") as gateway:
        assert toml(gateway.log)["model"] == "mine"


def test_a_start_leaves_the_model_open_when_the_upstream_lists_none(tmp_path: Path, provider: ScriptedUpstream) -> None:
    provider.has_list = False
    with StartedGateway(tmp_path, "--upstream", f"{provider.url}/v1") as gateway:
        assert toml(gateway.log)["model"] == ""
        assert '"model": "MODEL"' in gateway.log
        assert "Models to ask for" not in gateway.log


def slugs(catalogue: Path) -> list[str]:
    return [entry["slug"] for entry in json.loads(catalogue.read_text())["models"]]


def test_a_catalogue_without_a_gateway_is_of_the_upstream_that_start_would_use(
    tmp_path: Path, provider: ScriptedUpstream
) -> None:
    provider.models = [{"id": "glm-5.2"}, {"id": "m-large"}]
    catalogue = tmp_path / "models.json"
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    asked = ("codex-config", "--port", str(port), "--catalog", str(catalogue))
    refused = run(tmp_path, *asked)
    assert refused.returncode == 1
    assert f"no gateway answers at http://127.0.0.1:{port}/v1" in refused.stderr
    assert not catalogue.exists()
    written = run(tmp_path, *asked, "--upstream", f"{provider.url}/v1", "--for", "0.111")
    assert written.returncode == 0, written
    assert slugs(catalogue) == ["glm-5.2", "m-large"]
    assert '"max"' not in catalogue.read_text()
    more = {"RESPONSES_GATEWAY_UPSTREAM": f"{provider.url}/v1"}
    assert run(tmp_path, *asked, "--for", "0.138", "--model", "kimi-k2.6", more=more).returncode == 0
    assert set(slugs(catalogue)) == {"glm-5.2", "m-large", "kimi-k2.6"}
    assert '"max"' in catalogue.read_text()


def test_a_gateway_that_wants_a_key_is_asked_with_it(tmp_path: Path, provider: ScriptedUpstream) -> None:
    with StartedGateway(
        tmp_path, "--upstream", f"{provider.url}/v1", "--set", "gateway_access_keys=the-key"
    ) as gateway:
        asked = ("codex-config", "--port", str(gateway.port))
        refused = run(tmp_path, *asked)
        assert refused.returncode == 1
        assert "export RESPONSES_GATEWAY_KEY=" in refused.stderr
        printed = run(tmp_path, *asked, more={"RESPONSES_GATEWAY_KEY": "the-key"})
    assert tomllib.loads(printed.stdout)["model"] == "m-large"
    assert 'env_key = "RESPONSES_GATEWAY_KEY"' in printed.stdout
    assert "the-key" not in printed.stdout


def test_codex_config_is_written_and_undone(tmp_path: Path) -> None:
    config = tmp_path / "codex" / "config.toml"
    config.parent.mkdir()
    config.write_text('# mine\nmodel = "gpt-5.5"  # best\n\n[tui]\nnotifications = false\n')
    before = config.read_bytes()
    more = {"CODEX_HOME": str(config.parent)}
    assert run(tmp_path, "codex-config", "--write", "--model", "m", more=more).returncode == 0
    assert 'model = "m"  # best' in config.read_text()
    assert 'model_catalog_url = "http://127.0.0.1:4141/v1/models"' in config.read_text()
    assert run(tmp_path, "codex-config", "--undo", more=more).returncode == 0
    assert config.read_bytes() == before
    assert os.listdir(config.parent) == ["config.toml"]
    assert "nothing to undo" in run(tmp_path, "codex-config", "--undo", more=more).stderr


def test_a_gateway_with_access_keys_gives_codex_a_variable_for_one(tmp_path: Path) -> None:
    printed = run(tmp_path, "codex-config", "--model", "m", more={"RESPONSES_GATEWAY_ACCESS_KEYS": "k"})
    assert 'env_key = "RESPONSES_GATEWAY_KEY"' in printed.stdout
    assert "export RESPONSES_GATEWAY_KEY=" in printed.stderr


def test_service_writes_a_unit(tmp_path: Path) -> None:
    ended = run(tmp_path, "service", "--port", "5000", "--set", "gateway_idle_timeout=60")
    assert ended.returncode == 0
    unit = (tmp_path / ".config" / "systemd" / "user" / "responses-gateway.service").read_text()
    assert "-m responses_gateway start --port 5000 --set gateway_idle_timeout=60\n" in unit
    assert "systemctl --user enable --now responses-gateway.service" in ended.stdout


def test_the_python_api(tmp_path: Path) -> None:
    program = (
        "import responses_gateway, urllib.request\n"
        "with responses_gateway.start(default_model='demo') as gateway:\n"
        "    print(urllib.request.urlopen(gateway.base_url + '/models').status)\n"
        "    try:\n"
        "        responses_gateway.start(idel_timeout=3)\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(tmp_path), capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == "200\nunknown setting 'idel_timeout'; did you mean 'idle_timeout'?\n", ended


def test_the_python_api_takes_a_key(tmp_path: Path, provider: ScriptedUpstream) -> None:
    script = provider.script("m-large")
    script.answer(reply(text="Hello."))
    program = (
        "import json, responses_gateway, sys, urllib.request\n"
        "from mitmproxy import ctx\n"
        "with responses_gateway.start(upstream=sys.argv[1], api_key='sk-mine', default_model='m-large') as gateway:\n"
        "    headers = {'content-type': 'application/json'}\n"
        "    asked = urllib.request.Request(gateway.base_url + '/responses', b'{\"input\": \"hi\"}', headers)\n"
        "    print(json.load(urllib.request.urlopen(asked))['status'])\n"
        "    print('sk-mine' in str(ctx.options.items()))\n"
        "for settings in ({'api_key_env': 'PATH', 'upstream': sys.argv[1]}, {}):\n"
        "    try:\n"
        "        responses_gateway.start(api_key='sk-mine', **settings)\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, "-c", program, f"{provider.url}/v1"]
    ended = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines() == [
        "completed",
        "False",
        "api_key and api_key_env are two keys for one upstream; give one of them",
        "api_key is for an upstream, and none is named",
    ], ended
    assert script.request.headers["authorization"] == "Bearer sk-mine"
