"""HTTP as the endpoints see it: no matter which proxy brings a call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.request_limits import check_size


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the gateway. Header names are in lower case.

    `target` is the whole request target; `path` has neither the query nor the /v1 prefix.
    """

    method: str
    target: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    """Where this gateway listens for the client's own requests, without /v1."""
    flow: str = ""
    """The id of the flow that shows the call."""

    owner: str = ""
    """The owner of all that the gateway remembers of the call, as `Access.owner` names it."""

    @classmethod
    def parse(
        cls,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes,
        base_url: str,
        flow: str = "",
        owner: str = "",
    ) -> "Call":
        """`target` is the request target: path and query."""
        path, _, query = target.partition("?")
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            values.setdefault(name.removesuffix("[]"), []).append(value)
        return cls(method, target, path.removeprefix("/v1").rstrip("/"), values, headers, body, base_url, flow, owner)

    def json(self) -> JsonObject:
        """The body; {} when there is none. Raises GatewayError when it is no JSON object."""
        check_size(self.body)
        try:
            value = loads(self.body) if self.body.strip() else {}
        except (ValueError, RecursionError) as error:
            raise GatewayError(f"The request body is not valid JSON: {error}", code="invalid_json") from None
        if not isinstance(value, dict):
            raise GatewayError("The request body must be a JSON object.", code="invalid_type")
        return value

    def value(self, name: str) -> str | None:
        """The last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else None

    def flag(self, name: str) -> bool:
        return self.value(name) in ("true", "True", "1")

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """An integer of the query; raises GatewayError when it is none from `low` to `high`."""
        text = self.value(name)
        if text is None:
            return default
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise GatewayError(
                f"Invalid value for '{name}': expected an integer from {low} to {high}, got '{text}'.",
                code="invalid_value",
                param=name,
            )
        return number


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})

    @classmethod
    def json(cls, value: JsonObject) -> "Answer":
        return cls(dumps(value))


@dataclass(frozen=True, slots=True)
class Forward:
    """The answer comes from `url`, as a stream of events."""

    url: str
