"""`responses-gateway service`: writes a systemd user unit, so that the gateway starts with the user's session."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from responses_gateway.command_line.errors import CommandError
from responses_gateway.security.terminal import say

NAME = "responses-gateway.service"

_UNIT = """\
[Unit]
Description=Responses API gateway
After=network-online.target

[Service]
ExecStart={command}
# Keys that the configuration file names as $VARIABLE: one NAME=VALUE per line, mode 0600.
EnvironmentFile=-{environment}
Restart=on-failure
NoNewPrivileges=true

[Install]
WantedBy=default.target
"""


def unit(arguments: Sequence[str], config_home: str) -> str:
    """The text of the unit; `arguments` go to `responses-gateway start`."""
    words = [sys.executable, "-m", "responses_gateway", "start", *arguments]
    # systemd expands % and $ itself.
    command = " ".join(shlex.quote(word).replace("%", "%%").replace("$", "$$") for word in words)
    return _UNIT.format(command=command, environment=f"{config_home}/responses-gateway/environment")


def run(arguments: Sequence[str]) -> int:
    """Write the unit, and say how to start it."""
    home = Path(os.environ.get("HOME") or Path.home())
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    path = config_home / "systemd" / "user" / NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(unit(arguments, str(config_home)), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from None
    say(f"Wrote {path}", "Start it now, and with every session:", "")
    say("    systemctl --user daemon-reload")
    say(f"    systemctl --user enable --now {NAME}")
    say("", f"Its log: journalctl --user -u {NAME} -f")
    return 0
