"""The name under which users are told to call the program."""

import sys
from pathlib import Path

import pytest

from responses_gateway.command_line.program import program


@pytest.mark.parametrize("on_path", [True, False])
def test_the_console_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on_path: bool) -> None:
    command = tmp_path / "my tools" / "responses-gateway"
    command.parent.mkdir()
    command.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(command), "start"])
    monkeypatch.setenv("PATH", str(command.parent) if on_path else str(tmp_path))
    assert program() == ("responses-gateway" if on_path else f"'{command}'")


def test_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/responses_gateway/__main__.py"])
    assert program() == f"{sys.executable} -m responses_gateway"
