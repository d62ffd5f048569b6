"""The arguments of the console command: text in, checked value out. They raise argparse.ArgumentTypeError."""

import argparse
import re
from urllib.parse import urlsplit

from responses_gateway.command_line.errors import nearest

LOG_LEVELS = ("error", "warn", "info", "debug")

FLAG_OF_OPTION = {
    "mode": "--upstream",
    "gateway_upstream": "--upstream",
    "gateway_api_key_env": "--api-key-env",
    "gateway_model": "--model",
    "listen_host": "--host",
    "listen_port": "--port",
    "web_port": "--web-port",
    "termlog_verbosity": "--log-level",
}
"""mitmproxy options that have a flag of ours, which `--set` must not contradict."""


_LOOPBACK = re.compile(r"localhost|127\.|\[::1\]")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){1,3}(-[0-9A-Za-z.]{1,40})?")


def upstream(text: str) -> str:
    """A base URL without a trailing slash."""
    url = urlsplit(text)
    if "://" not in text:
        scheme = "http" if _LOOPBACK.match(text) else "https"
        raise argparse.ArgumentTypeError(f"{text!r} is not a URL; did you mean {scheme}://{text}?")
    if url.scheme not in ("http", "https") or not url.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http or https URL")
    if url.query or url.fragment or url.username is not None:
        raise argparse.ArgumentTypeError("takes a plain base URL, without user, query or fragment")
    try:
        url.port  # noqa: B018 - urllib checks the port when it is read
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    for endpoint in ("/chat/completions", "/responses"):
        if url.path.rstrip("/").endswith(endpoint):
            raise argparse.ArgumentTypeError(f"takes the base URL; leave out {endpoint}")
    return text.rstrip("/")


def variable_name(text: str) -> str:
    if not _VARIABLE_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("takes the name of an environment variable, not the key itself")
    return text


def version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a version such as 0.111 or 0.169.0")
    return text


def port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port number (0 to 65535)")
    return int(text)


def log_level(text: str) -> str:
    if text not in LOG_LEVELS:
        hint = nearest(text, LOG_LEVELS)
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(LOG_LEVELS)}{hint}")
    return text


def mitmproxy_option(text: str) -> str:
    flag = FLAG_OF_OPTION.get(text.partition("=")[0])
    if flag:
        raise argparse.ArgumentTypeError(f"use {flag} for {text.partition('=')[0]}")
    return text
