"""Where a gateway listens: as clients reach it, and as options say it."""

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4141

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised here, never bound


def base_url(host: str, port: int) -> str:
    """The URL that a client on this machine uses for a gateway that listens on `host`:`port`."""
    host = _ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def address_flags(host: str, port: int) -> str:
    """The options, each behind a space, with which other subcommands find that gateway."""
    flags = {"--host": host if host != DEFAULT_HOST else None, "--port": port if port != DEFAULT_PORT else None}
    return "".join(f" {flag} {value}" for flag, value in flags.items() if value is not None)
