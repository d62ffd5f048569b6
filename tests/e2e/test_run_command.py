"""`responses-gateway run`: a client and its gateway in one command."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from e2e.codex import LATEST, install
from e2e.command import COMMAND, SECONDS, StartedGateway, environment, run
from e2e.process import LoggedProcess
from upstream import Script, ScriptedUpstream, reply

PYTHON = Path(sys.executable)

ASK = """
import sys, openai
client = openai.OpenAI(max_retries=0, **({"base_url": sys.argv[2]} if len(sys.argv) > 2 else {}))
print(client.responses.create(model=sys.argv[1], input="hi").output_text)
"""


def run_client(
    home: Path, upstream: ScriptedUpstream, *command: str | Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command with a gateway in front of the scripted upstream."""
    return run(home, "run", "--upstream", f"{upstream.url}/v1", "--", *map(str, command), more=more)


def logs(home: Path) -> list[Path]:
    return sorted((home / ".local" / "state" / "responses-gateway").glob("run-*.log"))


# Clients --------------------------------------------------------------------------------------------------------------


def test_a_client_that_honours_the_base_url(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="Hello."))
    ended = run_client(tmp_path, upstream, PYTHON, "-c", ASK, script.model)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Hello.\n", "")
    assert logs(tmp_path) == []


def test_a_client_that_does_not(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="Hello."))
    ended = run_client(tmp_path, upstream, PYTHON, "-c", ASK, script.model, "https://api.openai.com/v1")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Hello.\n", "")
    bundle = tmp_path / ".local" / "state" / "responses-gateway" / "ca-bundle.pem"
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600


def test_codex(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    """From a fresh machine in one command; nothing is written where Codex keeps its configuration."""
    script.answer(reply(text="Hello from the model."))
    arguments = ["run", "--upstream", f"{upstream.url}/v1", "--model", script.model, "--"]
    codex = [str(install(LATEST.version)), "exec", "--json", "--skip-git-repo-check", "--", "say hi"]
    ended = run(tmp_path, *arguments, *codex)
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    said = [event["item"]["text"] for event in events if event["type"] == "item.completed"]
    assert said == ["Hello from the model."]
    assert script.request.text("user") == "say hi"
    assert not (tmp_path / ".codex" / "config.toml").exists()


def test_codex_with_the_demo_model(tmp_path: Path) -> None:
    codex = [str(install(LATEST.version)), "exec", "--json", "--skip-git-repo-check", "--", "say hi"]
    ended = run(tmp_path, "run", "--", *codex)
    assert ended.returncode == 0, ended.stderr
    assert "hello from the demo model" in ended.stdout


def test_the_gateway_that_runs_is_joined(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="Hello."), reply(text="From Codex."))
    arguments = ["--upstream", f"{upstream.url}/v1", "--model", script.model]
    with StartedGateway(tmp_path, *arguments) as gateway:
        where = ["run", "--port", str(gateway.port), "--"]
        ended = run(tmp_path, *where, str(PYTHON), "-c", ASK, script.model)
        codex = [str(install(LATEST.version)), "exec", "--json", "--skip-git-repo-check", "say hi"]
        by_codex = run(tmp_path, *where, *codex)
        gateway.wait_log("POST http://127.0.0.1")
    assert (ended.returncode, ended.stdout) == (0, "Hello.\n")
    assert "From Codex." in by_codex.stdout


def test_access_keys_reach_the_client(upstream: ScriptedUpstream, script: Script, tmp_path: Path) -> None:
    script.answer(reply(text="Hello."))
    more = {"RESPONSES_GATEWAY_ACCESS_KEYS": "sk-of-the-gateway", "OPENAI_API_KEY": "sk-of-openai"}
    ended = run_client(tmp_path, upstream, PYTHON, "-c", ASK, script.model, more=more)
    assert (ended.returncode, ended.stdout) == (0, "Hello.\n"), ended.stderr
    assert "authorization" not in script.request.headers


# The process ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_the_exit_status_is_that_of_the_command(script: str, status: int, tmp_path: Path) -> None:
    ended = run(tmp_path, "run", "--", "sh", "-c", script)
    assert ended.returncode == status
    assert len(logs(tmp_path)) == (1 if status else 0)
    assert not status or str(logs(tmp_path)[0]) in ended.stderr


@pytest.mark.parametrize(("command", "status"), [("there-is-no-such-command", 127), ("./not-executable", 126)])
def test_a_command_that_cannot_run(command: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "not-executable").touch(mode=0o600)
    ended = subprocess.run(
        [*COMMAND, "run", "--", command],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.returncode == status
    assert ended.stderr.startswith(f"responses-gateway: the command {command} ")


def test_a_run_without_a_command(tmp_path: Path) -> None:
    ended = run(tmp_path, "run")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "run needs a command" in ended.stderr


TRAP = "trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.1; done"


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
def test_signals_reach_the_command(name: str, tmp_path: Path) -> None:
    command = [*COMMAND, "run", "--", "sh", "-c", TRAP.format(name=name)]
    with LoggedProcess(command, environment(tmp_path)) as process:
        process.wait_log("ready", SECONDS)
        os.kill(process.pid, getattr(signal, f"SIG{name}"))
        process.wait_log(f"got {name}", SECONDS)
        process.wait_log("ended with status 5", SECONDS)


ON_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
"""Runs a command on a terminal of its own, whose keyboard and screen are a pipe each."""


def test_the_command_owns_the_terminal(tmp_path: Path) -> None:
    """Ctrl-C reaches it once, from the terminal; what it says is all that is to be seen."""
    count = "n=0; trap 'n=$((n+1))' INT; echo ready; read answer; sleep 0.3; echo got $n $answer"
    command = [sys.executable, "-c", ON_TERMINAL, *COMMAND, "run", "--", "bash", "-c", count]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""
        while b"ready" not in seen:
            piece = os.read(process.stdout.fileno(), 1024)
            assert piece, seen
            seen += piece
        process.stdin.write(b"\x03answer\n")
        process.stdin.flush()
        seen += process.stdout.read()
        assert process.wait(SECONDS) == 0, seen
    assert b"got 1 answer" in seen
    assert b"listening" not in seen
