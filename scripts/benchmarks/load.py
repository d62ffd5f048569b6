"""The compiled load generator (load.c): scripted upstream and client."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from mitmproxy.certs import CertStore

from benchmarks.targets import AUTHORITY, Running
from benchmarks.workload import ROOT, http_request, stream_model

RATE = 50
"""Deltas a second of one stream."""

_SECOND = 1_000_000_000


def compile_load(work: Path) -> Path:
    """Compile load.c. Raises RuntimeError when there is no C compiler, or no OpenSSL for it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("The load generator is a C program: install gcc or clang.")
    program = work / "load"
    source = ROOT / "scripts/benchmarks/load.c"
    command = [compiler, "-O2", "-Wno-unused-result", "-o", program, source, "-lssl", "-lcrypto"]
    if subprocess.run(command, check=False).returncode:
        raise RuntimeError("The load generator needs the headers of OpenSSL: install libssl-dev, or openssl-devel.")
    return program


def make_certificate(work: Path) -> Path:
    """A certificate for localhost with its key, and next to it `AUTHORITY`, which vouches for it."""
    store = CertStore.from_store(work, AUTHORITY.removesuffix("-ca-cert.pem"), 2048)
    entry = store.get_cert("localhost", [x509.DNSName("localhost")])
    key = entry.privatekey.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    certificate = work / "localhost.pem"
    certificate.write_bytes(key + entry.cert.to_pem())
    return certificate


class Upstream:
    """The scripted chat/completions server, from `__enter__` to `__exit__`; with TLS if it gets a certificate."""

    def __init__(self, program: Path, certificate: Path | None = None) -> None:
        self._command = [program, "upstream", *([certificate] if certificate else ())]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Streams:
    """What many paced streams showed: delays of their deltas in seconds by quantile, and the server's CPU time."""

    streams: int
    deltas: int
    """Received of those that were due while it was measured."""
    missing: int
    errors: int
    delays: dict[float, float]
    cpu: float
    """Seconds per second."""
    cpu_per_delta: float
    memory: int
    """Resident bytes near the end."""

    def delay(self, rank: float) -> float:
        return self.delays.get(rank, float("inf"))


@dataclass(frozen=True, slots=True)
class Requests:
    """What requests one after another showed, in seconds each."""

    first_event: list[float]
    first_delta: list[float]
    cpu: float | None
    """Of the server, per request; None if one of its processes has ended meanwhile, and taken its account with it."""

    errors: int


class Load:
    """Measures running targets."""

    def __init__(self, program: Path, work: Path) -> None:
        self._program = program
        self._work = work

    def streams(self, target: Running, body: Callable[[str], dict[str, Any]], streams: int, seconds: float) -> Streams:
        """Run `streams` streams at the usual rate, and measure for `seconds` once all of them flow."""
        ramp = max(0.2, min(10.0, streams * 0.02))
        settle = 1.0
        count = int((ramp + settle + seconds + 0.5) * RATE)
        start = time.monotonic_ns()
        begin = start + int((ramp + settle) * _SECOND)
        end = begin + int(seconds * _SECOND)
        client = self._client(
            target, body(stream_model(RATE, count)), streams, 1, count, int(ramp * _SECOND / streams), begin, end,
            end + 5 * _SECOND,
        )  # fmt: skip
        _sleep_until(begin)
        before = _cpu(target)
        _sleep_until(end)
        used = _cpu(target) - before
        elapsed = (time.monotonic_ns() - begin) / _SECOND
        memory = target.child.memory() if target.child else 0
        result = _result(client)
        due = streams * RATE * seconds
        return Streams(
            streams,
            result["deltas"],
            max(0, round(due - result["deltas"] - streams)),
            result["errors"],
            {float(rank): delay / _SECOND for rank, delay in result["delays"].items()},
            used / elapsed,
            used / result["received"] if result["received"] else float("inf"),
            memory,
        )

    def requests(self, target: Running, body: dict[str, Any], repeat: int, connections: int = 1) -> Requests:
        """Send `repeat` requests one after another over each of the connections; each gets one delta."""
        before = _cpu(target)
        deadline = time.monotonic_ns() + 600 * _SECOND
        result = _result(self._client(target, body, connections, repeat, 1, 0, 0, 0, deadline))
        done = max(1, result["completed"])
        used = _cpu(target) - before
        return Requests(
            [value / _SECOND for value in result["first_event"]],
            [value / _SECOND for value in result["first_delta"]],
            used / done if used >= 0 else None,
            result["errors"],
        )

    def _client(self, target: Running, body: dict[str, Any], *numbers: int) -> "subprocess.Popen[str]":
        request = self._work / "request"
        request.write_bytes(http_request(target.target.path, body))
        command = [str(self._program), "client", str(target.port), str(request), *map(str, numbers)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _result(client: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = client.communicate()
    result: dict[str, Any] = json.loads(output)
    return result


def _cpu(target: Running) -> float:
    return target.child.cpu() if target.child else 0.0


def _sleep_until(point: int) -> None:
    time.sleep(max(0.0, (point - time.monotonic_ns()) / _SECOND))
