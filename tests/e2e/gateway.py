"""The gateway as people run it: mitmdump with the addon script, as a process of its own."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from e2e.environment import ROOT, clean_environment
from e2e.process import LoggedProcess
from e2e.watchdog import BLAME
from upstream.request import JsonObject

ADDON = ROOT / "addon" / "gateway.py"
TAP = Path(__file__).with_name("tap.py")
WATCHDOG = Path(__file__).with_name("watchdog.py")
LISTENING = r"listening at (?:http://)?\S*?:(\d+)\.?\s*$"
FAULTS = ("Traceback (most recent call last)", "Addon error", "has crashed", BLAME)


class GatewayProcess(LoggedProcess):
    """A running mitmdump in reverse mode for `upstream` (a URL without path); a context manager.

    `mode` is another mode of mitmproxy, whose turns go to `upstream`. `options` are mitmproxy's `--set name=value`,
    `arguments` go to the command line as they are.
    """

    PROGRAM = "mitmdump"

    def __init__(
        self,
        upstream: str,
        home: Path,
        options: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        mode: str | None = None,
    ) -> None:
        target = {"gateway_upstream": f"{upstream}/v1"} if mode is not None else {}
        settings = {"confdir": str(home), **target, **(options or {})}
        command: list[str | Path] = [
            Path(sys.executable).with_name(self.PROGRAM),
            *("-s", TAP, "-s", WATCHDOG, "-s", ADDON, "--mode", mode or f"reverse:{upstream}"),
            *("--listen-host", "127.0.0.1", "--listen-port", "0"),
            *(argument for name, value in settings.items() for argument in ("--set", f"{name}={value}")),
            *arguments,
        ]
        self._tap = home / "requests.jsonl"
        super().__init__(command, clean_environment(home, {"GATEWAY_TAP": str(self._tap), **(environment or {})}))
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def received(self, model: str) -> list[JsonObject]:
        """The request bodies for that model as the clients sent them."""
        bodies = []
        for line in self._tap.read_bytes().splitlines():
            with suppress(ValueError):
                bodies.append(json.loads(line))
        return [body for body in bodies if isinstance(body, dict) and body.get("model") == model]

    def faults(self) -> list[str]:
        """Log lines that speak of an exception nobody caught, or of an event loop that waits."""
        return [line for line in self.log.splitlines() if any(fault in line for fault in FAULTS)]

    def _wait_ready(self) -> None:
        self.port = int(self.wait_log(LISTENING, 30)[1])


class StartGateway(Protocol):
    """Start a gateway with options of its own, in front of `url` or else of the scripted upstream."""

    def __call__(
        self,
        options: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        url: str | None = None,
    ) -> GatewayProcess: ...
