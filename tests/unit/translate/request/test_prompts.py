"""Prompt templates of the configuration."""

from pathlib import Path
from typing import Any

import pytest

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.loading import load_settings
from responses_gateway.settings.settings import Settings
from unit.machine import RESPONSE, delta
from unit.turn.rounds import serve
from unit.world import open_exchange, runtime

Json = dict[str, Any]

PROMPTS = {
    "greeter": [
        {"version": 1, "instructions": "Greet {{ name }}."},
        {"version": "2", "instructions": "Greet {{name}} in {{language}}.", "variables": {"language": "German"}},
    ],
    "plain": {"instructions": "Be brief."},
}
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}


def messages(prompt: Json, **fields: Any) -> list[Json]:
    settings = {"upstream": "http://127.0.0.1:1/v1", "store": "none", "prompts": PROMPTS}
    request = {"model": "m", "input": "hi", "prompt": prompt, **fields}
    around = runtime(Settings.model_validate(settings))
    found: list[Json] = open_exchange(request, {}, around).upstream_request.body["messages"]
    return found


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"id": "plain"}, "Be brief."),
        ({"id": "plain", "variables": None, "version": None}, "Be brief."),
        ({"id": "greeter", "variables": {"name": "Ada"}}, "Greet Ada in German."),
        ({"id": "greeter", "variables": {"name": "Ada", "language": None}}, "Greet Ada in German."),
        ({"id": "greeter", "version": "1", "variables": {"name": "Ada"}}, "Greet Ada."),
        ({"id": "greeter", "variables": {"name": "Ada", "language": "Welsh"}}, "Greet Ada in Welsh."),
        ({"id": "greeter", "version": "1", "variables": {"name": "{{language}}"}}, "Greet {{language}}."),
        ({"id": "greeter", "version": "1", "variables": {"name": {"type": "input_text", "text": "x"}}}, "Greet x."),
    ],
)
def test_a_template_is_filled_in(prompt: Json, words: str) -> None:
    assert messages(prompt) == [{"role": "system", "content": words}, {"role": "user", "content": "hi"}]


def test_own_instructions_follow_the_template() -> None:
    assert messages({"id": "plain"}, instructions="Rhyme.")[0]["content"] == "Be brief.\n\nRhyme."


def test_a_template_may_be_all_that_is_asked() -> None:
    settings = {"upstream": "http://127.0.0.1:1/v1", "store": "none", "prompts": PROMPTS}
    around = runtime(Settings.model_validate(settings))
    asked = open_exchange({"model": "m", "prompt": {"id": "plain"}}, {}, around).upstream_request.body["messages"]
    assert asked == [{"role": "system", "content": "Be brief."}]
    with pytest.raises(GatewayError, match="Missing required parameter: 'input'"):
        open_exchange({"model": "m"}, {}, around)


def test_a_picture_goes_before_the_input() -> None:
    asked = {"id": "greeter", "version": "1", "variables": {"name": PICTURE}}
    system, attached, last = messages(asked)
    assert system["content"] == "Greet [name]."
    assert attached["content"] == [
        {"type": "text", "text": "[name]:"},
        {"type": "image_url", "image_url": {"url": PICTURE["image_url"]}},
    ]
    assert last == {"role": "user", "content": "hi"}
    later = messages(asked, input=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello."}])
    assert later[:3] == [system, attached, last]


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        ({"id": "nobody"}, "prompt.id"),
        ({}, "prompt.id"),
        ({"id": 7}, "prompt.id"),
        ({"id": "greeter", "version": "3"}, "prompt.version"),
        ({"id": "greeter", "version": ["1"]}, "prompt.version"),
        ({"id": "greeter"}, "prompt.variables.name"),
        ({"id": "plain", "variables": {"name": "Ada"}}, "prompt.variables.name"),
        ({"id": "plain", "variables": ["name"]}, "prompt.variables"),
        ({"id": "greeter", "variables": {"name": 7}}, "prompt.variables.name"),
        ({"id": "greeter", "variables": {"name": {"type": "input_audio"}}}, "prompt.variables.name"),
        ({"id": "greeter", "variables": {"name": {"type": "input_text"}}}, "prompt.variables.name"),
    ],
)
def test_what_is_not_known_is_refused(prompt: Json, param: str) -> None:
    with pytest.raises(GatewayError) as raised:
        messages(prompt)
    assert (raised.value.status, raised.value.param) == (400, param)


def test_the_response_says_which_prompt_it_is_of() -> None:
    prompt = {"id": "greeter", "variables": {"name": "Ada"}}
    served = serve([delta("stop", content="Hello.")], settings={"prompts": PROMPTS}, prompt=prompt)
    assert served.response["prompt"] == {**prompt, "version": None}
    assert served.response["instructions"] is None
    assert RESPONSE.validate_python(served.response).prompt is not None


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{version: a}", "config.yaml:2: prompts.x.0.instructions: Field required"),
        ("{instructions: 'Hi', variables: {name: Ada}}", "config.yaml:2: prompts.x.0: instructions lack {{name}}"),
        ("{instruction: 'Hi'}", "did you mean 'instructions'?"),
        ("[]", "prompts.x"),
        ("[{instructions: a, version: 1}, {instructions: b, version: '1'}]", "prompts.x: two versions are named 1"),
    ],
)
def test_a_template_of_no_use_is_refused_with_its_line(tmp_path: Path, entry: str, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"prompts:\n  x: {entry}\n")
    with pytest.raises(SettingsError) as raised:
        load_settings({}, {"HOME": str(tmp_path)}, path)
    assert words in str(raised.value)
