"""The stores that tests run against: SQLite in a file and in memory, and Redis if a server is installed."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from responses_gateway.state.redis import RedisStore
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.store import Limits, Store
from unit.state.records import PLENTY, Clock, OpenStore


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """A server of our own on a socket; None when none is installed."""
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        yield None
        return
    directory = tmp_path_factory.mktemp("redis")
    process = start_redis(server, directory)
    yield f"unix://{directory}/s"
    stop(process)


@pytest.fixture
def mortal_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Callable[[], None]]]:
    """A server of one test, and what stops it."""
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        pytest.skip("neither redis-server nor valkey-server is installed")
    directory = tmp_path_factory.mktemp("redis")
    process = start_redis(server, directory)
    yield f"unix://{directory}/s", lambda: stop(process)
    stop(process)


def start_redis(server: str, directory: Path) -> subprocess.Popen[str]:
    """A server on the socket `s` in this directory."""
    command = [server, "--port", "0", "--unixsocket", f"{directory}/s", "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any("ready to accept connections" in line.lower() for line in process.stdout)
    return process


def stop(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture(params=["file", "memory", "redis"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, redis_url: str | None
) -> Iterator[OpenStore]:
    opened: list[Store] = []

    def open_one(limits: Limits) -> Store:
        match request.param:
            case "file":
                opened.append(SqliteStore(tmp_path / "state" / "store.sqlite3", limits, clock))
            case "memory":
                opened.append(SqliteStore(None, limits, clock))
            case _:
                if redis_url is None:
                    pytest.skip("neither redis-server nor valkey-server is installed")
                redis.Redis.from_url(redis_url).flushall()
                opened.append(RedisStore(redis_url, limits, clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store(PLENTY)
