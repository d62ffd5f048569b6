"""Fixtures: the scripted upstream, the gateway in front of it, and Codex."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2e.codex import LATEST, Codex
from e2e.environment import UPSTREAM_KEY
from e2e.gateway import GatewayProcess, StartGateway
from e2e.mitmweb import MitmwebProcess
from e2e.redis_server import RedisServer
from upstream import Script, ScriptedUpstream


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "expects_faults: exceptions in the log of the test's own gateways are expected")


@pytest.fixture(scope="session")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server
    assert not server.strays, f"requests that no test expected: {server.strays}"


@pytest.fixture(scope="session")
def shared_gateway(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(upstream.url, tmp_path_factory.mktemp("gateway")) as process:
        yield process


@pytest.fixture
def gateway(shared_gateway: GatewayProcess) -> Iterator[GatewayProcess]:
    """The gateway with default options that all tests share, in front of the scripted upstream."""
    before = len(shared_gateway.faults())
    yield shared_gateway
    assert not shared_gateway.faults()[before:], f"the gateway's log has a fault:\n{shared_gateway.log}"


@pytest.fixture
def start_gateway(upstream: ScriptedUpstream, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartGateway]:
    """Start gateways with options of their own. Mark a test `expects_faults` when it is about exceptions in the log."""
    with ExitStack() as stack:
        started: list[GatewayProcess] = []

        def start(
            options: Mapping[str, str] | None = None,
            arguments: Sequence[str] = (),
            environment: Mapping[str, str] | None = None,
            url: str | None = None,
        ) -> GatewayProcess:
            home = tmp_path / f"gateway-{len(started)}"
            home.mkdir()
            process = GatewayProcess(url or upstream.url, home, options, arguments, environment)
            started.append(stack.enter_context(process))
            return process

        yield start
        if not request.node.get_closest_marker("expects_faults"):
            for process in started:
                assert not process.faults(), f"the gateway's log has a fault:\n{process.log}"


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("neither redis-server nor valkey-server is installed")
    with RedisServer(program, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def mitmweb(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[MitmwebProcess]:
    """A mitmweb of the test's own, in front of the scripted upstream, whose key is `e2e.environment.UPSTREAM_KEY`."""
    home = tmp_path / "mitmweb"
    home.mkdir()
    options = {"gateway_api_key_env": "TEST_UPSTREAM_KEY"}
    with MitmwebProcess(upstream.url, home, options, environment={"TEST_UPSTREAM_KEY": UPSTREAM_KEY}) as process:
        yield process
        assert not process.faults(), f"the gateway's log has a fault:\n{process.log}"


@pytest.fixture
def script(upstream: ScriptedUpstream, request: pytest.FixtureRequest) -> Iterator[Script]:
    """The script of a model named after the test; verified at the end. For another name, use `upstream.script`."""
    model = re.sub(r"[^a-z0-9.]+", "-", request.node.name.lower()).strip("-")
    script = upstream.script(model)
    yield script
    upstream.forget(model)
    script.verify()


@pytest.fixture
def script_for(upstream: ScriptedUpstream) -> Iterator[Callable[[str], Script]]:
    """Scripts of models whose name matters (slugs that Codex knows); verified at the end."""
    scripts: list[Script] = []

    def make(model: str) -> Script:
        scripts.append(upstream.script(model))
        return scripts[-1]

    yield make
    for script in scripts:
        upstream.forget(script.model)
    for script in scripts:
        script.verify()


@pytest.fixture
def codex(gateway: GatewayProcess, tmp_path: Path, request: pytest.FixtureRequest) -> Codex:
    """Codex, talking to the shared gateway: the latest release, or the one the test is parametrised with."""
    return Codex(getattr(request, "param", LATEST), gateway.url, tmp_path / "codex")
