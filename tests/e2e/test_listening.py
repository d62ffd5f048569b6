"""The script in a bare mitmdump that was told nothing of where to listen: who is served, and from when on."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from e2e.environment import ROOT, clean_environment
from e2e.gateway import ADDON
from upstream import ScriptedUpstream

STARTS = 4
FAMILIES = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Addresses that nobody has, to find out which own address leads away from this machine."""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def mitmdump(upstream: ScriptedUpstream, home: Path, *arguments: str) -> Iterator[int]:
    """A mitmdump with the script, which was only just started; gives its port."""
    home.mkdir()
    port = free_port()
    command: list[str | Path] = [
        Path(sys.executable).with_name("mitmdump"),
        *("-q", "-s", ADDON, "--mode", f"reverse:{upstream.url}", "--set", f"confdir={home}"),
        *("--listen-port", str(port), *arguments),
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=clean_environment(home, {}), stdin=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(60)


def connected(host: str, port: int) -> socket.socket:
    """The first connection that is accepted. Raises TimeoutError."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(ConnectionRefusedError):
            return socket.create_connection((host, port), 20)
        time.sleep(0.001)
    raise TimeoutError("nobody listens")


def health(port: int) -> int:
    """The status of an answer on the very first connection."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.sock = connected("127.0.0.1", port)
    with closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().status


def test_the_first_connection_is_answered(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(STARTS) as pool:
        ports = [stack.enter_context(mitmdump(upstream, tmp_path / str(number))) for number in range(STARTS)]
        assert list(pool.map(health, ports)) == [200] * STARTS


def own_address(family: socket.AddressFamily) -> str:
    """An address of this machine that is no loopback address; "" if it has none."""
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
        try:
            probe.connect((FAMILIES[family], 9))
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return address


def got(host: str, port: int) -> bytes:
    """What comes back on the first connection, b"" when it is closed without a word."""
    with closing(connected(host, port)) as connection, suppress(ConnectionError):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        return connection.makefile("rb").read()
    return b""


def test_other_machines_are_refused(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    """On a machine that has loopback alone, only those who may connect are tried; see also the unit tests."""
    addresses = [address for family in FAMILIES if (address := own_address(family))]
    with mitmdump(upstream, tmp_path / "open") as port:
        assert health(port) == 200
        assert [got(address, port) for address in addresses] == [b""] * len(addresses)


def test_a_host_that_was_asked_for_is_served(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    address = own_address(socket.AF_INET) or "127.0.0.1"
    with mitmdump(upstream, tmp_path / "asked", "--listen-host", "0.0.0.0") as port:
        assert got(address, port).startswith(b"HTTP/1.1 200")
