"""The options of `responses-gateway start`, and those of them that other subcommands have too."""

import argparse
from collections.abc import Mapping
from typing import Any

from responses_gateway.command_line.address import DEFAULT_HOST, DEFAULT_PORT
from responses_gateway.command_line.argument_types import (
    LOG_LEVELS,
    log_level,
    mitmproxy_option,
    port,
    upstream,
    variable_name,
)


class OptionAdder:
    """Adds options whose default comes from the environment: `--api-key-env` from RESPONSES_GATEWAY_API_KEY_ENV."""

    def __init__(self, parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
        self._parser = parser
        self._environ = environ

    def __call__(self, flag: str, *, help: str, default: Any = None, **kwargs: Any) -> None:
        variable = "RESPONSES_GATEWAY_" + flag.removeprefix("--").replace("-", "_").upper()
        shown = f"{help} [{variable}]" if default is None else f"{help} (default: {default}) [{variable}]"
        self._parser.add_argument(flag, default=self._environ.get(variable) or default, help=shown, **kwargs)


def add_config(add: OptionAdder) -> None:
    add("--config", metavar="FILE", help="the configuration file instead of ~/.config/responses-gateway/config.yaml")


def add_upstream(add: OptionAdder) -> None:
    add("--upstream", metavar="URL", type=upstream, help="base URL of a chat/completions API, with its path")
    add("--api-key-env", metavar="NAME", type=variable_name, help="the variable that holds the upstream's API key")


def add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        dest="options",
        metavar="NAME=VALUE",
        action="append",
        type=mitmproxy_option,
        default=[],
        help="set an option of the gateway (gateway_…) or of mitmproxy (repeatable)",
    )


def add_address(add: OptionAdder, default_port: int | None = DEFAULT_PORT) -> None:
    add("--host", metavar="ADDRESS", default=DEFAULT_HOST, help="address to listen on")
    add("--port", metavar="PORT", type=port, default=default_port, help="port to listen on, 0 for any free one")


def add_start_options(
    parser: argparse.ArgumentParser, environ: Mapping[str, str], default_port: int | None = DEFAULT_PORT
) -> None:
    add = OptionAdder(parser, environ)
    add_config(add)
    add_upstream(add)
    add("--model", metavar="NAME", help="the upstream model to use")
    add_address(add, default_port)
    parser.add_argument("--web", action=argparse.BooleanOptionalAction, default=False, help="show traffic in mitmweb")
    add("--web-port", metavar="PORT", type=port, help="port of mitmweb (default: 8081, or a free one if it is taken)")
    parser.add_argument("--raw", action="store_true", help="print what models say, while they say it")
    add("--log-level", metavar="LEVEL", type=log_level, default="info", help=f"one of {', '.join(LOG_LEVELS)}")
    add_set(parser)
