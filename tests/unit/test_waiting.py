"""Calls that may wait for a disk or another machine: which modules make them, and never in a coroutine."""

import ast
from collections.abc import Iterator
from pathlib import Path

import responses_gateway

PACKAGE = Path(responses_gateway.__file__).parent

WAITING = {
    *("time.sleep", "socket.create_connection", "socket.create_server", "socket.getaddrinfo", "urllib.request.urlopen"),
    *("sqlite3.connect", "redis.Redis", "redis.Redis.from_url", "subprocess.run", "subprocess.Popen"),
    *("subprocess.check_output", "os.open", "os.fsync", "os.replace", "os.rename", "os.system", "open", "input"),
}
FILE_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes", "fsync", "rename", "unlink", "mkdir"}

THREADS_OF_THE_STORE = {"sqlite_file.py", "redis.py", "file.py"}
READ_ONCE = {
    *("shipped.py", "codex_catalogue.py", "intercepted_apis.py", "credentials.py", "yaml_file.py", "secret.py"),
    "templating.py",
}
COMMANDS = {
    *("main.py", "serve.py", "codex_file.py", "codex.py", "configure.py", "service.py", "sessions.py"),
    *("terminal.py", "codex_version.py", "run.py", "ca_bundle.py"),
    *("analyze_log.py", "analysis.py", "commands.py"),
}
SMALL_LOCAL_FILES = {"learned_repairs.py", "log.py"}
"""On the event loop: a few hundred bytes, seldom, or for those who asked for a log."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.name, ast.parse(path.read_text(encoding="utf-8"))


def waiting_calls(node: ast.AST) -> set[str]:
    """What `node` and all in it calls by a name that stands for waiting."""
    called = {ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
    return {name for name in called if name in WAITING or name.rpartition(".")[2] in FILE_METHODS}


def imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_only_known_modules_wait() -> None:
    known = THREADS_OF_THE_STORE | READ_ONCE | COMMANDS | SMALL_LOCAL_FILES
    waiting = {name: calls for name, tree in modules() if (calls := waiting_calls(tree)) and name not in known}
    assert waiting == {}


def test_no_coroutine_waits_itself() -> None:
    coroutines = [
        (f"{name}: {node.name}", waiting_calls(node))
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef)
    ]
    assert len(coroutines) > 50
    assert {name: calls for name, calls in coroutines if calls} == {}


def test_the_stores_are_only_reached_through_their_threads() -> None:
    stores = {"responses_gateway.state.sqlite", "responses_gateway.state.redis", "sqlite3", "redis"}
    users = {name for name, tree in modules() if imported(tree) & stores}
    archive = {path.name for path in (PACKAGE / "inspection" / "archive").iterdir()}
    assert users - archive == {"state.py", "sqlite.py", "sqlite_file.py", "redis.py"}


def test_waiting_is_recognised() -> None:
    source = "async def f(path):\n time.sleep(1)\n path.read_text()\n sqlite3.connect('x')\n await asyncio.sleep(1)"
    assert waiting_calls(ast.parse(source)) == {"time.sleep", "path.read_text", "sqlite3.connect"}
