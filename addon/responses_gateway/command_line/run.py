"""`responses-gateway run -- COMMAND …`: a command with a gateway of its own, or with the one that runs already."""

import asyncio
import contextlib
import http.client
import os
import shutil
import socket
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.options import CONF_BASENAME, Options
from mitmproxy.tools.dump import DumpMaster
from mitmproxy.tools.web.master import WebMaster

from responses_gateway import demo
from responses_gateway.addon import Gateway
from responses_gateway.command_line.address import base_url
from responses_gateway.command_line.ca_bundle import write_bundle
from responses_gateway.command_line.client_environment import (
    ClientPlace,
    Proxy,
    client_environment,
    codex_environment,
    proxy_mode,
)
from responses_gateway.command_line.codex_config import (
    CLIENT_KEY_VARIABLE,
    CodexSettings,
    codex_command,
    names_model,
    runs_codex,
)
from responses_gateway.command_line.command_process import NOT_EXECUTABLE, NOT_FOUND, CommandProcess
from responses_gateway.command_line.errors import CommandError
from responses_gateway.command_line.serve import (
    ServeOptions,
    add_gateway,
    apply,
    configured,
    default_url,
    logging_to,
    require_free,
)
from responses_gateway.endpoints.health import is_gateway
from responses_gateway.inspection.pages.addon import sessions_link
from responses_gateway.protocol.json import JsonObject, loads
from responses_gateway.security.terminal import say
from responses_gateway.settings.settings import Settings
from responses_gateway.state.state import state_directory

_PATIENCE = 2.0
"""Seconds that a gateway has to say that it is one."""


@dataclass(frozen=True)
class RunOptions:
    """What `run` was asked for. `joins`: nothing was asked that the gateway which runs might not have."""

    gateway: ServeOptions
    joins: bool
    own_port: int
    """Where a gateway of its own listens; 0: any free port."""


def run(options: RunOptions, command: Sequence[str]) -> int:
    """Run the command; returns its exit status. Raises CommandError when it gets no gateway."""
    if shutil.which(command[0]) is None:
        is_there = Path(command[0]).is_file() and os.sep in command[0]
        problem = "cannot be executed" if is_there else "was not found"
        say(f"responses-gateway: the command {command[0]} {problem}", to=sys.stderr)
        return NOT_EXECUTABLE if is_there else NOT_FOUND
    address = (options.gateway.host, options.gateway.port)
    if options.joins and options.gateway.port and _is_running(*address):
        return asyncio.run(_run_joined(options.gateway, command))
    own = replace(options.gateway, port=options.own_port)
    require_free(own.host, own.port, "--port")
    return _run_with_log(own, command)


def _is_running(host: str, port: int) -> bool:
    """Whether a gateway answers there."""
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return is_gateway(connection.getresponse().headers.get("server", ""))
    return False


async def _run_joined(options: ServeOptions, command: Sequence[str]) -> int:
    """With the gateway that runs. It may be no proxy, so that the command has to honour its base URL."""
    place = ClientPlace(base_url(options.host, options.port), _client_key(configured(options)))
    process = CommandProcess()
    process.watch_signals()
    await _run(process, place, options.model, command)
    return process.status


def _run_with_log(options: ServeOptions, command: Sequence[str]) -> int:
    """With a gateway of its own. The terminal is the command's, so the log is a file, which stays after a failure."""
    log = state_directory(os.environ) / f"run-{os.getpid()}.log"
    try:
        with logging_to(log, options.log_level):
            status = asyncio.run(_serve(options, command))
    except OSError as error:
        raise CommandError(f"{error.filename or log}: {error.strerror}") from error
    except SystemExit:  # mitmproxy's way to say that something was wrong at the start
        raise CommandError(f"the gateway did not start; its log says why: {log}") from None
    if status == 0:
        log.unlink(missing_ok=True)
    else:
        say(f"responses-gateway: {command[0]} ended with status {status}; the gateway's log: {log}", to=sys.stderr)
    return status


async def _serve(options: ServeOptions, command: Sequence[str]) -> int:
    async with contextlib.AsyncExitStack() as stack:
        settings = configured(options)
        target = default_url(settings)
        if target is None:
            target = await stack.enter_async_context(demo.serving())
        proxy_port = _free_port()
        mode = proxy_mode(os.environ, proxy_port)
        opts = Options()
        master: Master
        if options.web:
            master = WebMaster(opts, with_termlog=False)
        else:
            master = DumpMaster(opts, with_termlog=False, with_dumper=False)
        add_gateway(master, Gateway(target_is_fallback=True))
        command_addon = _CommandAddon(options, settings, command, proxy_port)
        master.addons.add(command_addon)
        options = replace(options, modes=[mode])
        apply(opts, options, target)
        command_addon.process.watch_signals()
        await master.run()
    if command_addon.error is not None:
        raise command_addon.error
    return command_addon.process.status


class _CommandAddon:
    """Starts the command when everything listens, and ends mitmproxy with it."""

    def __init__(self, options: ServeOptions, settings: Settings, command: Sequence[str], proxy_port: int) -> None:
        self.process = CommandProcess(stop=lambda: ctx.master.shutdown())
        self.error: CommandError | None = None
        self._options = options
        self._settings = settings
        self._command = command
        self._proxy_port = proxy_port
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            if isinstance(ctx.master, WebMaster):
                link = sessions_link(ctx.master)
                say(f"Sessions are shown at {link}", to=sys.stderr, flush=True)
                await asyncio.to_thread(webbrowser.open, link)
            await _run(self.process, self._place(), self._options.model or self._default_model(), self._command)
        except CommandError as error:
            self.error = error
        finally:
            ctx.master.shutdown()

    def _place(self) -> ClientPlace:
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        url = base_url(self._options.host, server.listen_addrs()[0][1])
        proxy = None
        if not runs_codex(self._command):
            authority = Path(ctx.options.confdir).expanduser() / f"{CONF_BASENAME}-ca-cert.pem"
            bundle = write_bundle(state_directory(os.environ), authority, os.environ)
            proxy = Proxy(f"http://127.0.0.1:{self._proxy_port}", bundle)
        return ClientPlace(url, _client_key(self._settings), proxy)

    def _default_model(self) -> str | None:
        return self._settings.default_model or (None if self._settings.names_upstream else demo.MODEL)


async def _run(process: CommandProcess, place: ClientPlace, model: str | None, command: Sequence[str]) -> None:
    """Run the command so that it uses the gateway at `place`. Raises CommandError."""
    if runs_codex(command):
        if model is None and not names_model(command):
            model = await asyncio.to_thread(_first_model, place)
        settings = CodexSettings(place.url, model, CLIENT_KEY_VARIABLE if place.key else None)
        command, environ = codex_command(command, settings), codex_environment(os.environ, place)
    else:
        environ = client_environment(os.environ, place)
    try:
        await process.run(command, environ)
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be started: {error.strerror}") from error


def _first_model(place: ClientPlace) -> str:
    """The model that the gateway lists first. Raises CommandError when it lists none."""
    connection = http.client.HTTPConnection(place.url.partition("://")[2].partition("/")[0], timeout=30)
    headers = {"authorization": f"Bearer {place.key}"} if place.key else {}
    listed: list[JsonObject] = []
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError), contextlib.closing(connection):
        connection.request("GET", "/v1/models", headers=headers)
        listed = loads(connection.getresponse().read()).get("data") or []
    if not listed:
        raise CommandError("which model shall Codex ask for? Name it with --model")
    name: str = listed[0]["id"]
    return name


def _client_key(settings: Settings) -> str | None:
    """The key that the gateway wants of its clients, if it wants one."""
    keys = [key.get_secret_value() for key in settings.access_keys]
    return os.environ.get(CLIENT_KEY_VARIABLE) or (keys[0] if keys else None)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
