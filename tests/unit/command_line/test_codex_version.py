"""Which Codex is on PATH."""

from pathlib import Path

import pytest

from responses_gateway.command_line.codex_version import CATALOGUE_URL, installed, is_before


@pytest.fixture
def codex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "codex"
    program.touch(mode=0o755)
    return program


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo codex-cli 0.130.0", "0.130.0"),
        ("echo codex-cli 0.170.0-alpha.2", "0.170.0"),
        ("echo hello", None),
        ("exit 1", None),
    ],
)
def test_it_says_its_version(codex: Path, script: str, version: str | None) -> None:
    codex.write_text(f"#!/bin/sh\n{script}\n")
    assert installed() == version


def test_there_may_be_none_that_runs(codex: Path) -> None:
    codex.write_text("#!/no/such/program\n")
    assert installed() is None
    codex.unlink()
    assert installed() is None


@pytest.mark.parametrize(
    ("version", "old"),
    [("0.111", True), ("0.160.1", True), ("0.161.0-alpha.1", False), ("1.0.0", False), (None, False)],
)
def test_versions_are_compared_by_number(version: str | None, old: bool) -> None:
    assert is_before(version, CATALOGUE_URL) is old
