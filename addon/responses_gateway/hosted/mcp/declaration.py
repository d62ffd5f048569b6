"""Reads declarations of MCP servers: where each is, which of its tools are offered, and which the client approves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from responses_gateway.hosted.interface import Declaration
from responses_gateway.hosted.mcp.session import ServerAddress
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.security.header_fields import is_safe
from responses_gateway.settings.settings import McpServer as ConfiguredServer

_OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that say how a message is sent, and where to."""


@dataclass(frozen=True, slots=True)
class ToolFilter:
    """Tools by name, by whether they only read, or by both. None: it does not matter."""

    names: frozenset[str] | None = None
    read_only: bool | None = None

    def matches(self, tool: JsonObject) -> bool:
        annotations = tool.get("annotations")
        read_only = isinstance(annotations, dict) and annotations.get("readOnlyHint") is True
        return (self.names is None or tool["name"] in self.names) and self.read_only in (None, read_only)


EVERY_TOOL = ToolFilter()
NO_TOOL = ToolFilter(frozenset())


@dataclass(frozen=True, slots=True)
class Approval:
    """Which calls the client has to approve. A tool that no filter matches: `otherwise`."""

    always: ToolFilter = NO_TOOL
    never: ToolFilter = NO_TOOL
    otherwise: bool = True

    def needed(self, tool: JsonObject) -> bool:
        if self.always.matches(tool):
            return True
        return self.otherwise and not self.never.matches(tool)


@dataclass(frozen=True, slots=True)
class DeclaredServer:
    """One MCP server as a request declares it."""

    label: str
    address: ServerAddress
    about: str
    allowed: ToolFilter
    approval: Approval
    secrets: tuple[str, ...] = field(repr=False)
    """What must not be shown."""

    offered: bool = False
    """Whether the gateway added the declaration: the client does without if the server cannot be reached."""


@dataclass(frozen=True, slots=True)
class Permitted:
    """The servers of the configuration by label, and whether clients may name others."""

    configured: Mapping[str, ConfiguredServer]
    others: bool = True


def declared_servers(declarations: Iterable[Declaration], permitted: Permitted) -> list[DeclaredServer]:
    """Read all declarations. Raises GatewayError for one that cannot be served."""
    servers: dict[str, DeclaredServer] = {}
    for declaration in declarations:
        server = _server(declaration, permitted)
        if server.label in servers:
            raise _invalid(f"{declaration.path}.server_label", f"two servers are named '{server.label}'")
        servers[server.label] = server
    return list(servers.values())


def _server(declaration: Declaration, permitted: Permitted) -> DeclaredServer:
    path, raw = declaration
    label = _text(declaration, "server_label")
    if not label:
        raise _missing(f"{path}.server_label")
    for name, what in (("connector_id", "Connectors are"), ("tunnel_id", "Tunnels are")):
        if raw.get(name):
            why = f"{what} a service of OpenAI's, which this gateway cannot reach. Name the server by its 'server_url'."
            raise GatewayError(why, code="unsupported_value", param=f"{path}.{name}")
    headers, own = _headers(declaration), None
    if url := _text(declaration, "server_url"):
        if not permitted.others:
            why = "this gateway calls only the MCP servers of its configuration, by their labels"
            raise _invalid(f"{path}.server_url", why)
        address = _named(url, headers, path)
    elif own := permitted.configured.get(label):
        address = _configured(own, headers)
    else:
        raise _missing(f"{path}.server_url", f" The gateway's configuration has no MCP server '{label}'.")
    return DeclaredServer(
        label,
        address,
        _text(declaration, "server_description") or (own.description if own is not None else ""),
        _allowed(declaration, own),
        _approval(
            raw.get("require_approval") or (own.require_approval if own else "always"), f"{path}.require_approval"
        ),
        tuple(value.rpartition(" ")[2] if name == "authorization" else value for name, value in address.headers),
        raw.get("offered") is True,
    )


def _allowed(declaration: Declaration, own: ConfiguredServer | None) -> ToolFilter:
    """The tools that both allow, the client and the operator."""
    allowed = _filter(declaration.value.get("allowed_tools"), f"{declaration.path}.allowed_tools", EVERY_TOOL)
    if own is None or own.allowed_tools is None:
        return allowed
    names = frozenset(own.allowed_tools)
    return replace(allowed, names=names if allowed.names is None else names & allowed.names)


def _named(url: str, headers: Mapping[str, str], path: str) -> ServerAddress:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.username is None
    except ValueError:
        usable = False
    if not usable or not url.isascii():
        raise _invalid(f"{path}.server_url", "it is no address of an MCP server: https://HOST/PATH is needed")
    return ServerAddress(url=url, headers=tuple(headers.items()))


def _configured(server: ConfiguredServer, headers: Mapping[str, str]) -> ServerAddress:
    """The operator's server; the client may add headers of its own, but changes none."""
    own = {name.lower(): value.get_secret_value() for name, value in server.headers.items()}
    return ServerAddress(
        url=server.url or "",
        headers=tuple({**headers, **own}.items()) if server.url else (),
        command=(server.command, *server.args) if server.command else (),
        env=tuple((name, value.get_secret_value()) for name, value in server.env.items()),
        configured=True,
    )


def _headers(declaration: Declaration) -> dict[str, str]:
    """The client's headers by lower-case name, its authorization included."""
    given = declaration.value.get("headers")
    if given is None:
        given = {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _invalid(f"{declaration.path}.headers", "an object with strings is needed")
    headers = {name.lower(): value for name, value in given.items()}
    if token := _text(declaration, "authorization"):
        if "authorization" in headers:
            raise _invalid(f"{declaration.path}.authorization", "the headers have an authorization, too")
        headers["authorization"] = f"Bearer {token}"
    for name, value in headers.items():
        if name in _OF_THE_CONNECTION:
            raise _invalid(f"{declaration.path}.headers", f"'{name}' is set by the gateway itself")
        if not name or not value.isascii() or not is_safe(name, value):
            raise _invalid(f"{declaration.path}.headers", "a header has a character that no header can have")
    return headers


def _approval(value: object, path: str) -> Approval:
    match value:
        case "always":
            return Approval()
        case "never":
            return Approval(otherwise=False)
        case dict():
            always = _filter(value.get("always"), f"{path}.always", NO_TOOL)
            never = _filter(value.get("never"), f"{path}.never", NO_TOOL)
            return Approval(always, never, otherwise=not value.get("always") or bool(value.get("never")))
    raise _invalid(path, "'always', 'never' or an object with filters is needed")


def _filter(value: Any, path: str, nothing: ToolFilter) -> ToolFilter:
    if isinstance(value, list):
        value = {"tool_names": value}
    if value is None or value == {}:
        return nothing
    if not isinstance(value, dict):
        raise _invalid(path, "a list of names or a filter is needed")
    names, read_only = value.get("tool_names"), value.get("read_only")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _invalid(f"{path}.tool_names", "a list of names is needed")
    if read_only is not None and not isinstance(read_only, bool):
        raise _invalid(f"{path}.read_only", "true or false is needed")
    return ToolFilter(None if names is None else frozenset(names), read_only)


def _text(declaration: Declaration, name: str) -> str:
    value = declaration.value.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(f"{declaration.path}.{name}", "a string is needed")
    return value.strip()


def _missing(param: str, hint: str = "") -> GatewayError:
    return GatewayError(f"Missing required parameter: '{param}'.{hint}", code="missing_required_parameter", param=param)


def _invalid(param: str, why: str) -> GatewayError:
    return GatewayError(f"Invalid value for '{param}': {why}.", code="invalid_value", param=param)


def secrets_of(servers: Iterable[DeclaredServer]) -> list[str]:
    """All that must not be shown."""
    return [secret for server in servers for secret in server.secrets]
