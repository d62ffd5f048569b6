"""What a hosted tool is, from its declaration to its calls.

A kind of tool is an object that implements `HostedKind`; `registry.py` has them all. What is the same for all kinds is
in `calls.py`: rounds, limits, errors and the Ledger.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.responses import ResponsesRequest
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import BegunItem, HostedCall, HostedResult, HostedTool
from responses_gateway.upstream.http_client import HttpClient


class HostedError(Exception):
    """A call that failed; the message is for the model and for the Ledger."""


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """How much a model may use a tool in one response, and the words for that."""

    rounds: int
    """Upstream rounds that may call it before the model has to answer."""

    seconds: float
    """For one call. A tool that knows what takes so long may have shorter limits of its own."""

    calls: str
    """What people call the calls, such as `searches`."""

    calling: str
    """What the model does then, such as `searching`."""


class Declaration(NamedTuple):
    """A declaration of a hosted tool, and where in the request it stands."""

    path: str
    value: JsonObject


class RunnableTool(HostedTool, Protocol):
    """A hosted tool for one response."""

    @property
    def begun(self) -> Sequence[BegunItem]:
        """The output items that came of opening it."""

    @property
    def limits(self) -> ToolLimits: ...

    async def run(self, call: HostedCall) -> HostedResult:
        """Carry out a call. Raises HostedError or TimeoutError with what failed, for the model."""


@dataclass(frozen=True, slots=True)
class DeclaredTool:
    """What one request says of a hosted tool."""

    request: ResponsesRequest
    """Its input has its whole history."""

    declarations: Sequence[Declaration]
    """All declarations of the tool's types; at least one."""

    owner: str
    session: str | None
    """The id of the owner's session, if the client names one."""

    ledger: Ledger
    new_id: Callable[[str], str]
    """Makes an id with the given prefix."""

    others: Sequence[HostedTool] = ()
    """The request's other hosted tools, as far as they are known already."""


class ToolService(Protocol):
    """A kind of tool with all that the settings say of it, shared by all responses."""

    async def open(self, declared: DeclaredTool) -> RunnableTool:
        """Prepare the tool for one response. Raises GatewayError for a declaration that cannot be served."""

    async def close(self) -> None:
        """Let go of everything."""


class HostedKind(Protocol):
    """A kind of hosted tool."""

    @property
    def types(self) -> Collection[str]:
        """The `type` of its declarations, in all versions."""

    def service(self, settings: Settings, http: HttpClient) -> ToolService | None:
        """What serves the tool; None when the settings do without. Raises SettingsError."""

    def recorded(self, declared: DeclaredTool) -> HostedTool:
        """The tool of a recorded turn: it offers the same functions, and carries out nothing.

        Raises HostedError when the request does not say enough.
        """
