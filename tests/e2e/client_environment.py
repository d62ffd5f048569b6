"""Client libraries and MCP servers, each in an environment of its own below the cache: made on first use, kept then."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.environment import CACHE, clean_environment, exclusive

SCRIPTS = Path(__file__).with_name("clients")
UNDICI = "undici@6.29.1"


@dataclass(frozen=True)
class ClientLibrary:
    """A script in `clients`, and the packages that it needs: of PyPI, or of npm for a .mjs script."""

    script: str
    packages: Sequence[str]

    def run(
        self, home: Path, *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Any:
        """Run the script; returns the JSON that it prints last."""
        command = [*self._install(), *arguments]
        ended = subprocess.run(
            command,
            env=environment if environment is not None else clean_environment(home, {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert ended.returncode == 0, f"{self.script} {arguments}:\n{ended.stdout}{ended.stderr}"
        return json.loads(ended.stdout.splitlines()[-1])

    def proxied(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """An environment for the script, in which HTTPS_PROXY holds for Node.js as well.

        Since 22.21, that is a variable which `responses-gateway run` sets; before, programs load undici for it.
        """
        if not self.script.endswith(".mjs") or _node_version() >= (22, 21):
            return environment
        directory = installed([UNDICI], is_node=True)
        with exclusive(directory):
            loaded = Path(shutil.copy(SCRIPTS / "node_proxy.mjs", directory))
        return {**environment, "NODE_OPTIONS": f"--import={loaded}"}

    def _install(self) -> list[str]:
        """The command that runs the script, up to its arguments."""
        is_node = self.script.endswith(".mjs")
        directory = installed(self.packages, is_node=is_node)
        if not is_node:
            return [str(directory / "bin" / "python"), str(SCRIPTS / self.script)]
        # Node looks for packages beside the script.
        copy = directory / self.script
        with exclusive(directory):
            shutil.copy(SCRIPTS / self.script, copy)
        return ["node", str(copy)]


def installed(packages: Sequence[str], *, is_node: bool) -> Path:
    """The directory that has the packages, of npm or of PyPI."""
    directory = CACHE / "clients" / "_".join(packages).replace("/", "-")
    marker = directory / "installed"
    with exclusive(directory):
        if not marker.exists():
            (_install_node if is_node else _install_python)(directory, packages)
            marker.touch()
    return directory


def _install_python(directory: Path, packages: Sequence[str]) -> None:
    _check([sys.executable, "-m", "venv", str(directory)])
    _check([str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages])


def _install_node(directory: Path, packages: Sequence[str]) -> None:
    npm = shutil.which("npm")
    assert npm, "the tests of the AI SDK need npm on the PATH"
    options = ["--no-audit", "--no-fund", "--no-save", "--loglevel=error"]
    _check([npm, "install", "--prefix", str(directory), *options, *packages])


def _node_version() -> tuple[int, ...]:
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return tuple(map(int, said.strip().removeprefix("v").split(".")))


def _check(command: Sequence[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, f"{command}:\n{ended.stdout}{ended.stderr}"
