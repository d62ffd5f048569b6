"""What is measured: every way from the client to the scripted upstream."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from benchmarks.processes import Child, accepts, free_port
from benchmarks.workload import API_KEY, ROOT

AUTHORITY = "bench-ca-cert.pem"
"""The file in `{work}` with the authority of the upstream's certificate."""

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Target:
    """A server in front of the upstream. `{port}`, `{upstream}` (its port) and `{work}` in `command` are filled in."""

    name: str
    wire: Literal["chat", "responses"]
    command: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Files that are written into `{work}` first; filled in as the command is."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.wire == "chat" else "/v1/responses"


def _mitmproxy(program: str, script: Path, *options: str) -> tuple[str, ...]:
    return (
        *(str(_BIN / program), "-s", str(script), "--mode", "reverse:http://127.0.0.1:{upstream}"),
        *("--listen-host", "127.0.0.1", "--listen-port", "{port}", "--set", "confdir={work}/mitmproxy", *options),
    )


DIRECT = Target("direct", "chat")
BARE = Target("mitmproxy", "chat", _mitmproxy("mitmdump", ROOT / "scripts/benchmarks/passthrough.py"))
GATEWAY = Target("gateway", "responses", _mitmproxy("mitmdump", ROOT / "addon/gateway.py"))
GATEWAY_WEB = Target(
    "gateway, mitmweb",
    "responses",
    _mitmproxy("mitmweb", ROOT / "addon/gateway.py", "--no-web-open-browser", "--web-port", "0"),
)

_LITELLM_CONFIG = {
    "model_list": [
        {
            "model_name": "*",
            "litellm_params": {
                "model": "deepseek/*",
                "api_base": "http://127.0.0.1:{upstream}/v1",
                "api_key": "sk-bench",
            },
        }
    ]
}


def peers(environments: Path) -> list[Target]:
    """codex-relay and LiteLLM, from the virtual environments that `scripts/bench --peers` makes."""
    return [
        Target(
            "codex-relay",
            "responses",
            (
                str(environments / ".venv-bench-codex-relay/bin/codex-relay"),
                *("--port", "{port}", "--upstream", "http://127.0.0.1:{upstream}/v1", "--api-key", "sk-bench"),
            ),
        ),
        Target(
            "LiteLLM",
            "responses",
            (
                str(environments / ".venv-bench-litellm/bin/litellm"),
                *("--config", "{work}/litellm.yaml", "--host", "127.0.0.1", "--port", "{port}", "--num_workers", "1"),
            ),
            {"litellm.yaml": json.dumps(_LITELLM_CONFIG)},
            {
                "LITELLM_LOG": "ERROR",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_TELEMETRY": "False",
                "LITELLM_MASTER_KEY": API_KEY,
            },
        ),
    ]


def in_tls(target: Target) -> Target:
    """The same target, one of mitmproxy, with TLS to the upstream."""
    command = [word.replace("reverse:http://127.0.0.1:", "reverse:https://localhost:") for word in target.command]
    trust = f"ssl_verify_upstream_trusted_ca={{work}}/{AUTHORITY}"
    return replace(target, command=(*command, "--set", trust))


class Running:
    """A target that runs from `__enter__` to `__exit__`; `port` is where clients connect."""

    def __init__(self, target: Target, upstream: int, work: Path) -> None:
        self.target = target
        self.port = free_port() if target.command else upstream
        self.child: Child | None = None
        values = {"port": self.port, "upstream": upstream, "work": work}
        for name, text in target.files.items():
            (work / name).write_text(_filled(text, values))
        if target.command:
            command = [_filled(word, values) for word in target.command]
            self.child = Child(command, work / f"{target.name}.log", target.environment)

    def __enter__(self) -> Self:
        if self.child is not None:
            self.child.__enter__()
            self.child.wait_until(lambda: accepts(self.port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.child is not None:
            self.child.__exit__(kind, value, trace)


def _filled(text: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text
