"""Editing Codex's config.toml, and taking it back."""

import tomllib
from pathlib import Path

import pytest

from responses_gateway.command_line.codex_config import CodexSettings, codex_config
from responses_gateway.command_line.codex_file import BACKUP_SUFFIX, location, undo, write
from responses_gateway.command_line.errors import CommandError

SETTINGS = CodexSettings("http://127.0.0.1:4141/v1", "kimi-k2.6")
MINE = """\
# my configuration
model = "gpt-5.5"   # the usual one
approval_policy = "never"

[model_providers.other]   # kept
name = "other"
base_url = "http://other/v1"

[tui]
# quiet
notifications = false
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


@pytest.mark.parametrize("before", [MINE, "", "# nothing yet\n", "[tui]\nnotifications = true\n"])
def test_what_is_written_is_what_is_printed_and_undo_gives_every_byte_back(config: Path, before: str) -> None:
    config.write_text(before)
    backup = write(config, SETTINGS)
    assert backup is not None
    assert backup.read_text() == before
    written = tomllib.loads(config.read_text())
    printed = tomllib.loads(codex_config(SETTINGS))
    assert written["model_providers"]["gateway"] == printed["model_providers"]["gateway"]
    assert (written["model"], written["model_provider"]) == (printed["model"], printed["model_provider"])
    for line in before.splitlines():
        if not line.startswith("model ="):
            assert line in config.read_text()
    assert undo(config)
    assert config.read_text() == before
    assert not backup.exists()


def test_a_file_that_did_not_exist_goes_again(config: Path) -> None:
    assert write(config, SETTINGS) is None
    assert undo(config)
    assert not config.exists()


def test_writing_twice_keeps_the_first_backup(config: Path) -> None:
    config.write_text(MINE)
    write(config, CodexSettings("http://127.0.0.1:1/v1", "a", catalogue="/models.json"))
    write(config, CodexSettings("http://127.0.0.1:2/v1", "b", env_key="KEY"))
    written = tomllib.loads(config.read_text())
    assert written["model_providers"]["gateway"]["base_url"] == "http://127.0.0.1:2/v1"
    assert "model_catalog_json" not in written
    undo(config)
    assert config.read_text() == MINE


def test_undo_keeps_what_was_changed_since(config: Path) -> None:
    config.write_text(MINE)
    write(config, SETTINGS)
    config.write_text(config.read_text().replace("notifications = false", "notifications = true  # after all"))
    assert undo(config)
    assert config.read_text() == MINE.replace("notifications = false", "notifications = true  # after all")


def test_there_may_be_nothing_to_undo(config: Path) -> None:
    assert not undo(config)
    config.write_text(MINE)
    assert not undo(config)
    assert config.read_text() == MINE


def test_a_broken_file_is_left_alone(config: Path) -> None:
    config.write_text("model = \n")
    with pytest.raises(CommandError, match="not valid TOML"):
        write(config, SETTINGS)
    assert config.read_text() == "model = \n"
    assert not config.with_name(config.name + BACKUP_SUFFIX).exists()


def test_a_link_stays_a_link_and_the_mode_stays(config: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.toml"
    target.write_text(MINE)
    target.chmod(0o640)
    config.symlink_to(target)
    write(config, SETTINGS)
    assert config.is_symlink()
    assert "kimi-k2.6" in target.read_text()
    assert target.stat().st_mode & 0o777 == 0o640


def test_codex_home_is_respected() -> None:
    assert location({"HOME": "/home/me"}) == Path("/home/me/.codex/config.toml")
    assert location({"HOME": "/home/me", "CODEX_HOME": "/etc/codex"}) == Path("/etc/codex/config.toml")
