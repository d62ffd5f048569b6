"""A gateway whose log nobody reads, or whose reader goes away, serves on."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from e2e.command import COMMAND, environment
from e2e.gateway import ADDON
from e2e.test_listening import connected, free_port
from upstream import ScriptedUpstream

type Program = Callable[[ScriptedUpstream, Path, int], list[str | Path]]
"""The command of a gateway with a home and a port."""

F_SETPIPE_SZ = 1031
"""Of Linux's fcntl; a pipe holds 64 KiB by default."""

REQUESTS = 20
HEADER = "x" * 8000
"""Is printed with every request, by `flow_detail=2`."""


def mitmdump(upstream: ScriptedUpstream, home: Path, port: int) -> list[str | Path]:
    arguments = ["--mode", f"reverse:{upstream.url}", "--listen-port", str(port), "--set", f"confdir={home}"]
    return [Path(sys.executable).with_name("mitmdump"), "-s", ADDON, *arguments]


def start(upstream: ScriptedUpstream, home: Path, port: int) -> list[str | Path]:
    return [*COMMAND, "start", "--port", str(port), "--upstream", f"{upstream.url}/v1"]


@contextmanager
def running(command: list[str | Path], home: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [*command, "--set", "flow_detail=2"],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    with closing(process.stdout):
        if sys.platform == "linux":
            fcntl.fcntl(process.stdout, F_SETPIPE_SZ, os.sysconf("SC_PAGESIZE"))
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def ask(port: int) -> None:
    for _ in range(REQUESTS):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.sock = connected("127.0.0.1", port)
        with closing(connection):
            connection.request("GET", "/healthz", headers={"x-long": HEADER})
            assert connection.getresponse().status == 200


@pytest.mark.parametrize("program", [mitmdump, start])
def test_a_log_that_nobody_reads(upstream: ScriptedUpstream, tmp_path: Path, program: Program) -> None:
    port = free_port()
    with running(program(upstream, tmp_path, port), tmp_path) as process:
        ask(port)
        assert process.stdout is not None
        process.stdout.close()
        ask(port)
        assert process.poll() is None
        process.terminate()
        assert process.wait(60) == 0
