"""Real Codex CLI under `codex exec`, each in a home, a configuration and a git repository of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.environment import API_KEY, CACHE, clean_environment, exclusive
from e2e.process import LoggedProcess
from upstream import Call, call

MCP_SERVER = Path(__file__).with_name("mcp_server.py")

PERMISSIONS = """approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
"""

CONFIG = """
model = "{model}"
model_provider = "gateway"
{permissions}
{extra}
[model_providers.gateway]
name = "Gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_KEY"
wire_api = "responses"
{provider}
"""

NO_RETRIES = """request_max_retries = 0
stream_max_retries = 0
"""

MCP_CONFIG = """
[mcp_servers.desk]
command = {python}
args = [{server}]
"""


@dataclass(frozen=True)
class Release:
    """What a released Codex has to offer, as far as the scenarios differ."""

    version: str
    shell_tool: str
    freeform_patch_model: str
    """A slug for which it offers apply_patch as a custom tool."""
    early: bool = False
    """It sends the result of each parallel call right behind the call, MCP results as text, and what `-i` names as a
    turn of its own, for whose end it may wait for ever: two of its tasks take the events, and only one looks for it."""
    function_patch_model: str | None = None
    """A slug for which it offers apply_patch as a function."""
    update_plan: bool = True
    web_search: str = ""
    """Configuration that makes it declare web_search."""
    deferred_tools: tuple[str, str] | None = None
    """Model and configuration with which MCP tools are hidden behind tool_search."""
    code_mode: tuple[str, str] | None = None
    """Model and configuration with which tools are called from JavaScript."""
    agents: bool = False
    """It offers tools that spawn agents to every model."""

    def __str__(self) -> str:
        return self.version


RELEASES = (
    Release(
        "0.50.0",
        "shell",
        "gpt-5-codex",
        early=True,
        function_patch_model="gpt-oss-120b",
        web_search="tools.web_search = true",
    ),
    Release(
        "0.80.0",
        "shell",
        "gpt-5.2",
        function_patch_model="gpt-oss-120b",
        web_search="features.web_search_request = true",
    ),
    Release(
        "0.130.0",
        "exec_command",
        "gpt-5.5",
        deferred_tools=("gpt-5.5", "features.tool_search_always_defer_mcp_tools = true"),
        code_mode=("gpt-5.5", "features.code_mode_only = true"),
        agents=True,
    ),
    Release(
        "0.169.0",
        "exec_command",
        "gpt-5.5",
        update_plan=False,
        deferred_tools=("gpt-5.5", ""),
        code_mode=("gpt-6-astra", ""),
        agents=True,
    ),
)
LATEST = RELEASES[-1]

PATCH = """*** Begin Patch
*** Update File: greeting.txt
@@
-hello
+good evening
*** End Patch
"""


def releases(having: Callable[[Release], Any] = lambda release: True) -> pytest.MarkDecorator:
    """Run a test with every release that has what it needs."""
    chosen = [release for release in RELEASES if having(release)]
    return pytest.mark.parametrize("codex", chosen, ids=str, indirect=True)


@dataclass(frozen=True)
class CodexRun:
    """What one `codex exec --json` did."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The completed items of that type: agent_message, reasoning, command_execution, mcp_tool_call …"""
        items = [event["item"] for event in self.events if event["type"] == "item.completed"]
        return [item for item in items if item["type"] == kind]

    @property
    def messages(self) -> list[str]:
        return [item["text"] for item in self.items("agent_message")]

    @property
    def reasoning(self) -> list[str]:
        return [item["text"] for item in self.items("reasoning")]

    @property
    def thread_id(self) -> str:
        thread_id: str = next(event["thread_id"] for event in self.events if event["type"] == "thread.started")
        return thread_id

    @property
    def usage(self) -> dict[str, int]:
        usage: dict[str, int] = next(event["usage"] for event in self.events if event["type"] == "turn.completed")
        return usage

    def succeeded(self) -> "CodexRun":
        """Assert that the turn ended well; returns itself."""
        errors = [event for event in self.events if event["type"] in ("turn.failed", "error")]
        assert self.exit_code == 0, f"{self}"
        assert not errors, f"{self}"
        return self

    def __str__(self) -> str:
        return f"codex exec ended with {self.exit_code}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


class Codex:
    """A Codex of one release; `home` is created and holds its HOME and its working directory `home/work`."""

    def __init__(
        self, release: Release, gateway_url: str, home: Path, proxied_by: Mapping[str, str] | None = None
    ) -> None:
        """`proxied_by`: the environment with which its own default provider is reached through the gateway."""
        self._proxied_by = proxied_by
        self.release = release
        self._binary = install(release.version)
        self._url = gateway_url
        self._home = home
        self._extra = ""
        self._provider = NO_RETRIES
        self._tables = ""
        self.work = home / "work"
        self.work.mkdir(parents=True)
        (home / ".codex").mkdir()
        subprocess.run(["git", "init", "--quiet", str(self.work)], check=True, timeout=30)

    def configure(self, extra: str = "", mcp: bool = False) -> None:
        """Add top-level configuration (TOML), and the MCP server `desk` when `mcp` is set."""
        self._extra += extra + "\n"
        if mcp:
            self._tables += MCP_CONFIG.format(python=json.dumps(sys.executable), server=json.dumps(str(MCP_SERVER)))

    def configure_provider(self, extra: str) -> None:
        """Add configuration (TOML) to the gateway's provider table."""
        self._provider += extra + "\n"

    def move_to(self, gateway_url: str) -> None:
        """Use that gateway from the next turn on."""
        self._url = gateway_url

    def retry_by_default(self) -> None:
        """Leave the number of retries to Codex itself; without this there are none."""
        self._provider = self._provider.replace(NO_RETRIES, "")

    def shell(self, command: str, id: str = "call_1") -> Call:
        """The call with which a model runs a shell command in this release."""
        if self.release.shell_tool == "shell":
            return call("shell", {"command": ["bash", "-c", command]}, id)
        return call(self.release.shell_tool, {"cmd": command}, id)

    def exec(self, prompt: str, model: str, *options: str, resume: str | None = None, timeout: float = 60) -> CodexRun:
        """Run one turn; `resume` is the thread to go on with. Raises TimeoutError after `timeout` seconds."""
        self._write_config(model)
        return self._run(self._exec_command(prompt, options, resume), timeout)

    def start_exec(self, prompt: str, model: str, *options: str) -> LoggedProcess:
        """One turn that runs on its own."""
        self._write_config(model)
        return LoggedProcess(self._exec_command(prompt, options, None), self._environment, self.work)

    def app_server(self, model: str) -> LoggedProcess:
        """What the TUI and editors run turns with: JSON-RPC over standard input and output."""
        self._write_config(model)
        return LoggedProcess([self._binary, "app-server"], self._environment, self.work, spoken_to=True)

    def _write_config(self, model: str) -> None:
        if self._proxied_by is not None:
            config = f'model = "{model}"\n{PERMISSIONS}'
        else:
            config = CONFIG.format(
                model=model, url=self._url, extra=self._extra, provider=self._provider, permissions=PERMISSIONS
            )
        config += self._tables
        (self._home / ".codex" / "config.toml").write_text(config)

    def _exec_command(self, prompt: str, options: Sequence[str], resume: str | None) -> list[str | Path]:
        resuming = ["resume", resume] if resume else []
        # `--` keeps options that take several values, such as -i, from swallowing the prompt.
        return [self._binary, "exec", "--json", "--skip-git-repo-check", *options, *resuming, "--", prompt]

    @property
    def _environment(self) -> dict[str, str]:
        if self._proxied_by is not None:
            return {**self._proxied_by, "CODEX_HOME": str(self._home / ".codex")}
        return clean_environment(self._home, {"CODEX_HOME": str(self._home / ".codex"), "GATEWAY_KEY": API_KEY})

    def _run(self, command: Sequence[str | Path], timeout: float) -> CodexRun:
        with subprocess.Popen(
            command,
            cwd=self.work,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                stdout, stderr = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired as late:
                # The executable from npm starts the program proper, which would outlive it.
                os.killpg(process.pid, signal.SIGKILL)
                raise TimeoutError(
                    f"codex {self.release} still runs after {timeout} s: {late.stdout!r} {late.stderr!r}"
                ) from None
        return CodexRun(process.returncode, stdout, stderr)


def install(version: str) -> Path:
    """The executable of that version, from npm on first use and from the cache after that."""
    directory = CACHE / "codex" / version
    binary = directory / "node_modules" / ".bin" / "codex"
    with exclusive(directory):
        if not _runs(binary):
            npm = shutil.which("npm")
            assert npm, "the Codex tests need npm on the PATH"
            options = ["--no-audit", "--no-fund", "--no-save", "--loglevel=error"]
            command = [npm, "install", "--prefix", str(directory), *options, f"@openai/codex@{version}"]
            installed = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert installed.returncode == 0, (
                f"npm could not install Codex {version}:\n{installed.stdout}{installed.stderr}"
            )
            assert _runs(binary), f"Codex {version} was installed but does not run: {binary}"
    return binary


def _runs(binary: Path) -> bool:
    return binary.exists() and subprocess.run([binary, "--version"], capture_output=True, timeout=60).returncode == 0
