"""Runs the gateway in a thread of another program."""

import asyncio
import os
import threading
from collections import ChainMap
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from mitmproxy import ctx
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.options import Options
from mitmproxy.tools.dump import DumpMaster

from responses_gateway import demo
from responses_gateway.addon import Gateway
from responses_gateway.command_line.address import base_url
from responses_gateway.command_line.errors import CommandError
from responses_gateway.command_line.serve import ServeOptions, add_gateway, apply, configured, default_url, require_free
from responses_gateway.protocol.json import dumps_text
from responses_gateway.settings.config_file import suggestion
from responses_gateway.settings.options import OPTIONS

START_TIMEOUT = 60.0
"""Seconds."""

STOP_TIMEOUT = 10.0
"""Seconds."""

_API_KEY = "api_key of start()"
"""Where the settings find the key that `start` was given: no variable of the environment has such a name, and no option
holds the key, which mitmproxy shows."""

_running = threading.Lock()
"""mitmproxy has one context per process."""


class RunningGateway:
    """A gateway that runs until `stop`; also a context manager."""

    def __init__(self, options: ServeOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._listening: Future[int] = Future()
        self._master: DumpMaster | None = None
        self._thread = threading.Thread(target=self._run, name="responses-gateway", daemon=True)
        self._thread.start()
        self.base_url = base_url(options.host, self._listening.result(START_TIMEOUT))
        """With /v1: what clients of OpenAI's API call the base URL."""

    def stop(self) -> None:
        """End the gateway; returns when it has ended."""
        if self._master is not None:
            self._master.shutdown()
        self._thread.join(STOP_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 (mitmproxy ends a failed start with SystemExit)
            if not self._listening.done():
                self._listening.set_exception(RuntimeError(f"the gateway did not start: {error}"))
        finally:
            _running.release()

    async def _serve(self) -> None:
        async with demo.serving() as demo_url:
            opts = Options()
            master = DumpMaster(opts, with_termlog=False, with_dumper=False)
            add_gateway(master, Gateway(target_is_fallback=True, environ=self._environ))
            master.addons.add(_Announcement(self._listening))
            apply(opts, self._options, default_url(configured(self._options, self._environ)) or demo_url)
            self._master = master
            await master.run()


class _Announcement:
    """Says which port it is, once it really listens."""

    def __init__(self, listening: Future[int]) -> None:
        self._listening = listening

    def running(self) -> None:
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        self._listening.set_result(server.listen_addrs()[0][1])


def start(
    port: int = 0,
    upstream: str | None = None,
    *,
    host: str = "127.0.0.1",
    api_key: str | None = None,
    **settings: Any,
) -> RunningGateway:
    """Start the gateway in a thread of this process; returns when it listens.

    `port` 0 is any free one. `upstream` is the base URL of a chat/completions API; without one, the configuration file
    and the environment say where requests go, else it is the demo model. `api_key` is the key of that upstream, in the
    place of a variable (`api_key_env`). `settings` are keys of the configuration file that one word can say, such as
    `default_model` or `idle_timeout`. Raises ValueError for settings that cannot be used, and RuntimeError when it
    cannot start or runs already.
    """
    environ: Mapping[str, str] = os.environ
    if api_key:
        if settings.get("api_key_env"):
            raise ValueError("api_key and api_key_env are two keys for one upstream; give one of them")
        environ = ChainMap({_API_KEY: api_key}, os.environ)
        settings["api_key_env"] = _API_KEY
    options = ServeOptions(host=host, port=port, upstream=upstream, options=_specs(settings))
    try:
        found = configured(options, environ)
    except CommandError as error:
        raise ValueError(str(error)) from None
    if api_key and not found.names_upstream:
        raise ValueError("api_key is for an upstream, and none is named")
    try:
        require_free(host, port, "port")
    except CommandError as error:
        raise RuntimeError(str(error)) from None
    if not _running.acquire(blocking=False):
        raise RuntimeError("a gateway runs in this process already; stop it first")
    return RunningGateway(options, environ)


def _specs(settings: Mapping[str, Any]) -> list[str]:
    """The settings as mitmproxy options, NAME=VALUE. Raises ValueError for an unknown one."""
    names = {option.setting: option.name for option in OPTIONS}
    for name in settings:
        if name not in names:
            raise ValueError(f"unknown setting {name!r}{suggestion(name, list(names))}")
    return [f"{names[name]}={_word(value)}" for name, value in settings.items() if value is not None]


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return dumps_text(value) if isinstance(value, dict) else str(value)
