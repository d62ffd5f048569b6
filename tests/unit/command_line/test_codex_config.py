"""The text that a user pastes."""

import json
import shlex

import pytest

from responses_gateway.command_line.codex_config import base_url, curl_line


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4141/v1"),
        ("0.0.0.0", "http://127.0.0.1:4141/v1"),
        ("::1", "http://[::1]:4141/v1"),
        ("::", "http://[::1]:4141/v1"),
        ("gateway.lan", "http://gateway.lan:4141/v1"),
    ],
)
def test_base_url_is_one_that_a_client_can_connect_to(host, url):
    assert base_url(host, 4141) == url


def test_curl_line_survives_a_shell():
    words = shlex.split(curl_line("http://127.0.0.1:4141/v1", "it's $HOME"))
    assert words[2] == "http://127.0.0.1:4141/v1/responses"
    assert json.loads(words[-1])["model"] == "it's $HOME"
