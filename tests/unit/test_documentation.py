"""docs/configuration.md says what the code does."""

import argparse
import re
import runpy
from pathlib import Path

import pytest

from responses_gateway.catalogue.providers.shipped import COMMON_GROUND, shipped
from responses_gateway.command_line.codex_config import CodexSettings, codex_config
from responses_gateway.command_line.main import build_parser
from responses_gateway.settings.config_file import read_config
from responses_gateway.settings.loading import load_settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_the_one_of_the_code() -> None:
    reference = runpy.run_path(str(ROOT / "scripts" / "settings-reference"))
    assert reference["updated"](DOCUMENT) == DOCUMENT, "run scripts/settings-reference --write"


def test_every_command_and_option_is_there() -> None:
    parser = build_parser({})
    [commands] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for name, command in commands.choices.items():
        assert f"| `{name}` |" in DOCUMENT
        for flag in (flag for flag in command._option_string_actions if flag.startswith("--") and flag != "--help"):
            assert f"`{flag}" in DOCUMENT, f"{name} {flag}"


def test_every_shipped_provider_is_there() -> None:
    for name in shipped().keys() - {COMMON_GROUND.name}:
        assert f"`{name}`" in DOCUMENT


def test_the_example_file_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = tmp_path / "config.yaml"
    path.write_text(example)
    environ = {"HOME": str(tmp_path), "WORK_KIMI_KEY": "k", "DEEPSEEK_API_KEY": "d"}
    assert read_config(path, environ).warnings == ()
    settings = load_settings({}, environ, path)
    assert settings.idle_timeout == 120
    assert settings.models["gpt-5.5"].target == "deepseek/deepseek-v4-pro"


@pytest.mark.parametrize("document", ["docs/configuration.md", "README.md"])
def test_codex_configuration_is_what_the_command_prints(document: str) -> None:
    [block] = re.findall(r"```toml\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    model = re.search(r'model = "(.*?)"', block)
    assert model
    assert block.strip() == codex_config(CodexSettings("http://127.0.0.1:4141/v1", model[1]))
