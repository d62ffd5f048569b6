"""Runs the gateway in this process: mitmdump's or mitmweb's master with our addon in its chain."""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mitmproxy import ctx, exceptions, optmanager
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster
from mitmproxy.tools.web.master import WebMaster

from responses_gateway import demo
from responses_gateway.addon import Gateway
from responses_gateway.command_line.address import address_flags, base_url
from responses_gateway.command_line.codex import codex_settings
from responses_gateway.command_line.codex_config import codex_config, curl_line
from responses_gateway.command_line.errors import CommandError, nearest
from responses_gateway.command_line.file_limit import raise_file_limit
from responses_gateway.command_line.model_names import told
from responses_gateway.command_line.program import program
from responses_gateway.command_line.raw_output import RawOutput
from responses_gateway.command_line.settings import read_settings
from responses_gateway.inspection.pages.addon import sessions_link
from responses_gateway.proxy.log_output import in_background
from responses_gateway.security.terminal import say
from responses_gateway.settings.options import OPTION_PREFIX
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream.routing import Router

DEFAULT_WEB_PORT = 8081
WEB_COLUMNS = ["icon", "status", "comment"]
"""mitmweb gives all width to the path when it is shown, and comments say more."""

_LOOPBACK = ("127.", "::1", "localhost")


@dataclass(frozen=True)
class ServeOptions:
    """What `start` was asked for.

    `upstream` None: what the settings say, else the demo model. `port` 0: any free port. `web_port` None: mitmweb's
    usual port or, when that is taken, a free one. `options` are mitmproxy's, as NAME=VALUE.
    """

    host: str
    port: int
    config: str | None = None
    upstream: str | None = None
    api_key_env: str | None = None
    model: str | None = None
    web: bool = False
    web_port: int | None = None
    raw: bool = False
    log_level: str = "info"
    options: Sequence[str] = ()
    modes: Sequence[str] = ()
    """Further modes of mitmproxy, beside the reverse proxy."""


def serve(options: ServeOptions) -> int:
    """Serve until interrupted; returns the exit status. Raises CommandError when the gateway cannot start."""
    require_free(options.host, options.port, "--port")
    raise_file_limit()
    with contextlib.redirect_stdout(in_background(sys.stdout)):
        asyncio.run(_serve(options))
        say("Stopped.")
    return 0


async def _serve(options: ServeOptions) -> None:
    configure_logging()
    async with contextlib.AsyncExitStack() as stack:
        settings = configured(options)
        target = default_url(settings)
        if target is None:
            target = await stack.enter_async_context(demo.serving())
        opts = Options()
        master: Master = WebMaster(opts) if options.web else DumpMaster(opts)
        gateway = Gateway(target_is_fallback=True, watch=RawOutput(sys.stdout) if options.raw else None)
        add_gateway(master, gateway)
        master.addons.add(_Announcement(options, settings, gateway))
        apply(opts, options, target)
        _stop_on_signals(master)
        await master.run()


def configured(options: ServeOptions, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings from the flags, `--set`, the environment and the file. Raises CommandError."""
    flags = {"upstream": options.upstream, "api_key_env": options.api_key_env, "model": options.model}
    return read_settings(options.config, flags, options.options, environ)


def default_url(settings: Settings) -> str | None:
    """Base URL of the first upstream that somebody asked for; None when nobody did."""
    return Router(settings).upstreams()[0].base_url if settings.names_upstream else None


def configure_logging() -> None:
    """As mitmproxy's own tools do: its terminal log filters what the root logger lets through."""
    logging.getLogger().setLevel(logging.DEBUG)
    for name in ("tornado", "asyncio", "hpack", "quic"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextlib.contextmanager
def logging_to(path: Path, level: str) -> Iterator[None]:
    """Write the log to a file that only its owner can read, from `level` upwards. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    configure_logging()
    with contextlib.closing(logging.FileHandler(path, mode="w", encoding="utf-8")) as handler:
        handler.setLevel(level.upper())
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger().addHandler(handler)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(handler)


def add_gateway(master: Master, gateway: Gateway) -> None:
    """Put our addon where a script's would be: before NextLayer, whose decision it takes over."""
    master.addons.register(gateway)
    master.addons.chain.insert(master.addons.chain.index(master.addons.get("nextlayer")), gateway)


def apply(opts: Options, options: ServeOptions, target: str) -> None:
    """Set mitmproxy's options: the user's own mitmproxy configuration, then ours, then `--set`.

    `target` is the URL that serves as long as the settings name no upstream. Raises CommandError.
    """
    url = urlsplit(target)
    settings = {
        "mode": [f"reverse:{url.scheme}://{url.netloc}", *options.modes],
        "listen_host": options.host,
        "listen_port": options.port,
    }
    ours = {
        "gateway_config": options.config,
        "gateway_upstream": options.upstream,
        "gateway_api_key_env": options.api_key_env,
        "gateway_model": options.model,
    }
    settings |= {name: value for name, value in ours.items() if value}
    if "termlog_verbosity" in opts:  # a master inside of another program has no log on the terminal
        settings["termlog_verbosity"] = options.log_level
    if options.web:
        settings["web_port"] = _web_port(options.web_port)
        settings["web_columns"] = WEB_COLUMNS
        settings["web_open_browser"] = False
    try:
        confdir = os.path.expanduser(opts.confdir)
        optmanager.load_paths(opts, os.path.join(confdir, "config.yaml"), os.path.join(confdir, "config.yml"))
        opts.update(**settings)
        opts.set(*options.options, defer=True)
    except exceptions.OptionsError as error:
        raise CommandError(str(error)) from error
    if not opts.scripts:
        _refuse_unknown(opts, options.options)


def _refuse_unknown(opts: Options, specs: Sequence[str]) -> None:
    for spec in specs:
        name = spec.partition("=")[0]
        if name not in opts:
            owner = "the gateway" if name.startswith(OPTION_PREFIX) else "mitmproxy"
            raise CommandError(f"--set: {owner} has no option {name}{nearest(name, opts.keys())}")


def _web_port(wanted: int | None) -> int:
    if wanted:
        require_free("127.0.0.1", wanted, "--web-port")
        return wanted
    if wanted is None and _bind_error("127.0.0.1", DEFAULT_WEB_PORT) is None:
        return DEFAULT_WEB_PORT
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def require_free(host: str, port: int, flag: str) -> None:
    """Raise CommandError for an address that cannot be listened on; `flag` is what the user changes."""
    error = _bind_error(host, port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise CommandError(f"port {port} is already in use; choose another with {flag}, for example {flag} {port + 1}")
    if error.errno == errno.EACCES:
        raise CommandError(f"this user may not listen on port {port}; choose one above 1023 with {flag}")
    raise CommandError(f"cannot listen on {host} port {port}: {error.strerror or error}")


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return error
    return None


def _stop_on_signals(master: Master) -> None:
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(signum, master.shutdown)
        except NotImplementedError:  # Windows' event loop
            signal.signal(signum, lambda *_: master.shutdown())


class _Announcement:
    """Says, once everything really listens, where things are and what to paste."""

    def __init__(self, options: ServeOptions, settings: Settings, gateway: Gateway) -> None:
        self._options = options
        self._settings = settings
        self._gateway = gateway

    async def running(self) -> None:
        listed = await self._gateway.models() if self._settings.names_upstream else []
        say(*self._text([model.id for model in listed if not model.assumed]).split("\n"), flush=True)

    def _text(self, models: Sequence[str]) -> str:
        options = self._options
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        port = server.listen_addrs()[0][1]
        url = base_url(options.host, port)
        codex = codex_settings(url, options.model, self._settings, models)
        sections = [f"The gateway listens on  {url}\n{self._target()}"]
        if models:
            sections[0] += f"\nModels to ask for       {told(models)}"
        if isinstance(ctx.master, WebMaster):
            sections[0] += f"\nTraffic in mitmweb at   {ctx.master.web_url}"
            sections[0] += f"\nSessions are shown at   {sessions_link(ctx.master)}"
        if not options.host.startswith(_LOOPBACK):
            sections.append(f"Careful: whoever can reach {options.host} can use it, and spend your key.")
        sections.append(f"Try it:\n\n{_indented(curl_line(url, codex.model, codex.env_key))}")
        sections.append(
            f"For Codex: {program()} codex-config --write{address_flags(options.host, port)}, or paste into "
            f"~/.codex/config.toml:\n\n{_indented(codex_config(codex))}"
        )
        sections.append("Ctrl-C stops the gateway.")
        return "\n" + "\n\n".join(sections) + "\n"

    def _target(self) -> str:
        if self._settings.names_upstream:
            targets = Router(self._settings).upstreams()
            return f"Requests go to          {', '.join(upstream.base_url for upstream in targets)}"
        return (
            "No upstream is configured, so the built-in demo model answers: canned replies, no real model, no key.\n"
            "For the real thing:     --upstream https://api.deepseek.com/v1 --api-key-env DEEPSEEK_API_KEY"
        )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
