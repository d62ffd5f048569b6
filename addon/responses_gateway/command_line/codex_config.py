"""Codex's configuration for a gateway, as lines to paste or as arguments; and a curl command to paste."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

PROVIDER = "gateway"
"""Key and name of the provider. Codex treats providers *named* OpenAI or azure differently (remote compaction,
compressed bodies), so ours must be named neither."""

CLIENT_KEY_VARIABLE = "RESPONSES_GATEWAY_KEY"
"""Where clients keep the access key that the gateway wants."""

ANY_KEY = "any"
"""What Codex sends to a gateway that wants no key: without one, Codex 0.169 does not ask for the model catalogue."""


@dataclass(frozen=True)
class CodexSettings:
    """The data about one gateway that Codex needs."""

    url: str
    """The base URL, with /v1."""

    model: str | None = None
    env_key: str | None = None
    """The variable that holds the client's key; only for a gateway that wants one: Codex insists that it is set."""

    catalogue: str | None = None
    """A file with the model catalogue, for Codex before 0.161; None: the gateway's own, by HTTP."""

    def top_level(self) -> dict[str, str]:
        """Keys outside of all tables."""
        values = {"model": self.model, "model_provider": PROVIDER, "model_catalog_json": self.catalogue}
        return {name: value for name, value in values.items() if value is not None}

    def provider(self) -> dict[str, str]:
        """The table `model_providers.gateway`."""
        values = {
            "name": PROVIDER,
            "base_url": self.url,
            "model_catalog_url": None if self.catalogue else f"{self.url}/models",
            "env_key": self.env_key,
            "experimental_bearer_token": None if self.env_key else ANY_KEY,
            "wire_api": "responses",
        }
        return {name: value for name, value in values.items() if value is not None}


def codex_config(settings: CodexSettings) -> str:
    """The lines for `~/.codex/config.toml`; without a model a line to complete."""
    missing = [] if settings.model else ['model = ""   # put the name of one of your upstream\'s models here']
    return "\n".join(
        [
            *missing,
            *_lines(settings.top_level()),
            "",
            f"[model_providers.{PROVIDER}]",
            *_lines(settings.provider()),
        ]
    )


def runs_codex(command: Sequence[str]) -> bool:
    """Whether a command starts Codex CLI."""
    return PurePath(command[0]).stem == "codex"


def names_model(command: Sequence[str]) -> bool:
    """Whether the arguments of Codex say which model it is to ask for."""
    return any(word in ("-m", "--model") or word.startswith(("--model=", "model=")) for word in command)


def codex_command(command: Sequence[str], settings: CodexSettings) -> list[str]:
    """The command with the configuration of `settings` as overrides, which later ones of the user's own change."""
    values = settings.top_level() | {f"model_providers.{PROVIDER}.{key}": v for key, v in settings.provider().items()}
    overrides = [word for name, value in values.items() for word in ("-c", f"{name}={json.dumps(value)}")]
    return [command[0], *overrides, *command[1:]]


def curl_line(url: str, model: str | None, env_key: str | None = None) -> str:
    """A shell command that streams one answer to the terminal."""
    body = json.dumps({"model": model or "MODEL", "input": "Say hello.", "stream": True}, ensure_ascii=False)
    key = f' -H "authorization: Bearer ${env_key}"' if env_key else ""
    return f"curl -N {url}/responses -H 'content-type: application/json'{key} -d {shlex.quote(body)}"


def _lines(values: dict[str, str]) -> list[str]:
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
