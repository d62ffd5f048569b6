"""Real Codex with nothing but `responses-gateway codex-config --write` and `start`."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.codex import LATEST, CodexRun, install
from e2e.command import StartedGateway, environment, run
from e2e.test_codex import ScriptFor
from upstream import ScriptedUpstream, call, reply

MODEL = "kimi-k2.6"
UNKNOWN = "Model metadata for"
HARMLESS = """
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
model_reasoning_effort = "high"
"""


@pytest.fixture
def started(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[StartedGateway]:
    with StartedGateway(tmp_path, "--upstream", f"{upstream.url}/v1") as gateway:
        yield gateway


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's home with a Codex configuration and a repository `work`."""
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(HARMLESS)
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "work")], check=True, timeout=30)
    return tmp_path


def write_config(home: Path, gateway: StartedGateway, *options: str) -> None:
    written = run(home, "codex-config", "--write", "--port", str(gateway.port), "--model", MODEL, *options)
    assert written.returncode == 0, written


def codex_exec(home: Path, prompt: str, version: str = LATEST.version) -> CodexRun:
    ended = subprocess.run(
        [install(version), "exec", "--json", "--", prompt],
        cwd=home / "work",
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )
    return CodexRun(ended.returncode, ended.stdout, ended.stderr)


def test_codex_knows_the_model(home: Path, started: StartedGateway, script_for: ScriptFor) -> None:
    script = script_for(MODEL)
    script.answer(reply(text="Hello."))
    write_config(home, started)
    answered = codex_exec(home, "say hi").succeeded()
    assert answered.messages == ["Hello."]
    assert UNKNOWN not in str(answered)
    assert "apply_patch" in script.request.tools
    assert script.request.body["reasoning_effort"] == "high"


def test_without_a_catalogue_codex_would_warn(home: Path, started: StartedGateway, script_for: ScriptFor) -> None:
    """What the catalogue is for; fails when a newer Codex no longer needs it."""
    script = script_for(MODEL)
    script.answer(reply(text="Hello."))
    write_config(home, started)
    config = home / ".codex" / "config.toml"
    lines = config.read_text().splitlines(keepends=True)
    config.write_text("".join(line for line in lines if not line.startswith("model_catalog_url")))
    answered = codex_exec(home, "say hi").succeeded()
    assert UNKNOWN in str(answered)
    assert "apply_patch" not in script.request.tools


@pytest.mark.parametrize("version", ["0.130.0", LATEST.version])
def test_a_catalogue_file_holds_what_that_codex_understands(
    home: Path, upstream: ScriptedUpstream, script_for: ScriptFor, version: str
) -> None:
    """`max` is one of the model's effort levels, and Codex 0.130 does not start with a catalogue that has it."""
    script = script_for("glm-5.2")
    script.answer(reply(text="Hello."))
    upstream.models = [{"id": "glm-5.2"}, {"id": "another"}]
    catalogue = home / "models.json"
    path = f"{install(version).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        with StartedGateway(home, "--upstream", f"{upstream.url}/v1") as gateway:
            arguments = ("--write", "--port", str(gateway.port), "--catalog", str(catalogue))
            assert run(home, "codex-config", *arguments, more={"PATH": path}).returncode == 0
            answered = codex_exec(home, "say hi", version).succeeded()
    finally:
        upstream.models = None
    entries = json.loads(catalogue.read_text())["models"]
    assert [entry["slug"] for entry in entries] == ["glm-5.2", "another"]
    efforts = [level["effort"] for level in entries[0]["supported_reasoning_levels"]]
    assert ("max" in efforts) is (version == LATEST.version)
    assert answered.messages == ["Hello."]
    assert UNKNOWN not in str(answered)
    assert "apply_patch" in script.request.tools


def test_codex_compacts_by_the_window_of_the_card(home: Path, started: StartedGateway, script_for: ScriptFor) -> None:
    """240 000 tokens are more than 90 % of Kimi's window, and less than 90 % of the one that Codex assumes."""
    script = script_for(MODEL)
    script.answer(
        reply(calls=[call("exec_command", {"cmd": "echo hi"})], prompt=240_000, completion=10),
        reply(text="The user wants to see hi."),
        reply(text="Done."),
    )
    write_config(home, started)
    assert codex_exec(home, "say hi").succeeded().messages[-1] == "Done."
    assert "CONTEXT CHECKPOINT COMPACTION" in script.requests[1].text("user")
