"""The text that a user pastes."""

import json
import shlex

from responses_gateway.command_line.codex_config import curl_line


def test_curl_line_survives_a_shell():
    words = shlex.split(curl_line("http://127.0.0.1:4141/v1", "it's $HOME"))
    assert words[2] == "http://127.0.0.1:4141/v1/responses"
    assert json.loads(words[-1])["model"] == "it's $HOME"
