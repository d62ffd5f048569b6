"""How a client is told of the gateway."""

from pathlib import Path

import pytest

from responses_gateway.command_line.ca_bundle import write_bundle
from responses_gateway.command_line.client_environment import (
    ClientPlace,
    Proxy,
    client_environment,
    proxy_mode,
)
from responses_gateway.command_line.codex_config import CodexSettings, codex_command, names_model, runs_codex

URL = "http://127.0.0.1:4141/v1"
PLACE = ClientPlace(URL, proxy=Proxy("http://127.0.0.1:8080", Path("/state/ca-bundle.pem")))


@pytest.mark.parametrize(
    ("command", "is_it"),
    [(["codex"], True), (["/usr/bin/codex", "exec"], True), (["codex.exe"], True), (["codex-helper"], False)],
)
def test_codex_is_known_by_its_name(command: list[str], is_it: bool) -> None:
    assert runs_codex(command) == is_it


def test_codex_is_told_by_overrides_before_its_own_arguments() -> None:
    command = codex_command(["codex", "exec", "hi"], CodexSettings(URL, "m"))
    assert command[0] == "codex"
    assert command[-2:] == ["exec", "hi"]
    overrides = command[1:-2]
    assert set(overrides[::2]) == {"-c"}
    assert 'model="m"' in overrides
    assert 'model_provider="gateway"' in overrides
    assert f'model_providers.gateway.base_url="{URL}"' in overrides
    assert f'model_providers.gateway.model_catalog_url="{URL}/models"' in overrides


@pytest.mark.parametrize(
    ("command", "does"),
    [
        (["codex", "-m", "x"], True),
        (["codex", "exec", "--model=x"], True),
        (["codex", "-c", 'model="x"'], True),
        (["codex", "exec", "which model is this?"], False),
    ],
)
def test_a_model_of_the_users_own(command: list[str], does: bool) -> None:
    assert names_model(command) == does


def test_other_clients_get_base_url_and_proxy() -> None:
    made = client_environment({"PATH": "/bin"}, PLACE)
    assert (made["OPENAI_BASE_URL"], made["OPENAI_API_KEY"], made["PATH"]) == (URL, "any", "/bin")
    assert made["HTTPS_PROXY"] == made["https_proxy"] == "http://127.0.0.1:8080"
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CODEX_CA_CERTIFICATE"):
        assert made[name] == "/state/ca-bundle.pem"
    assert made["NO_PROXY"] == made["no_proxy"] == "localhost,127.0.0.1,::1"


def test_what_the_user_has_set_stays() -> None:
    made = client_environment({"OPENAI_API_KEY": "sk-mine", "NO_PROXY": "intra.example,localhost"}, PLACE)
    assert made["OPENAI_API_KEY"] == "sk-mine"
    assert made["NO_PROXY"] == "intra.example,localhost,127.0.0.1,::1"


def test_a_gateway_with_access_keys_gets_one_of_them() -> None:
    assert client_environment({"OPENAI_API_KEY": "sk-mine"}, ClientPlace(URL, "sk-key"))["OPENAI_API_KEY"] == "sk-key"


def test_without_a_proxy_there_is_none() -> None:
    made = client_environment({}, ClientPlace(URL))
    assert not {"HTTPS_PROXY", "SSL_CERT_FILE"} & made.keys()


@pytest.mark.parametrize(
    ("own", "mode"),
    [
        ({}, "regular@127.0.0.1:8080"),
        ({"HTTPS_PROXY": "http://next:3128"}, "upstream:http://next:3128@127.0.0.1:8080"),
        ({"all_proxy": "next:3128"}, "upstream:http://next:3128@127.0.0.1:8080"),
        ({"HTTPS_PROXY": "https://me:secret@next"}, "upstream:https://next:443@127.0.0.1:8080"),
        ({"HTTPS_PROXY": "next", "NO_PROXY": "*"}, "regular@127.0.0.1:8080"),
    ],
)
def test_the_users_own_proxy_is_the_next_one(own: dict[str, str], mode: str) -> None:
    assert proxy_mode(own, 8080) == mode


def test_the_bundle_has_all_authorities_once(tmp_path: Path) -> None:
    authority, mine = tmp_path / "proxy.pem", tmp_path / "mine.pem"
    authority.write_text("PROXY")
    mine.write_text("MINE\n")
    environ = {"SSL_CERT_FILE": str(mine), "REQUESTS_CA_BUNDLE": str(mine), "NODE_EXTRA_CA_CERTS": str(tmp_path / "no")}
    path = write_bundle(tmp_path / "state", authority, environ)
    text = path.read_text()
    assert "BEGIN CERTIFICATE" in text
    assert text.endswith("\nMINE\nPROXY\n")
    assert text.count("MINE") == 1
    assert path.stat().st_mode & 0o777 == 0o600
    # A run inside of a run finds the first one's file in its environment.
    assert write_bundle(tmp_path / "state", authority, {"SSL_CERT_FILE": str(path)}).read_text().count("PROXY") == 1
