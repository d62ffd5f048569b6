"""What the translator knows of hosted tools: tools that the gateway carries out itself. `hosted/` implements them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from responses_gateway.protocol.json import JsonObject

type Step = Literal["opened", "started", "completed", "failed"]
"""What happens to a call: its item was opened, its arguments are complete, and how it ended."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something that a tool found, and that later text may cite."""

    url: str
    title: str


@dataclass(frozen=True, slots=True)
class HostedResult:
    """The result of a call: `text` goes to the model."""

    text: str
    sources: Sequence[Source] = ()
    failed: bool = False
    details: JsonObject | None = None
    """What the tool's own form shows of it besides."""

    pictures: Sequence[str] = ()
    """What the model sees besides: `data:` addresses."""


@dataclass(frozen=True, slots=True)
class BegunItem:
    """An output item that was complete before the model was asked."""

    opened: JsonObject
    """The item as it is announced."""

    events: Sequence[tuple[str, JsonObject]]
    """The types of the events between its beginning and its end, and their fields."""

    item: JsonObject
    is_call: bool = False
    """Whether it counts as a call of a tool."""


class ResultForm(Protocol):
    """How clients see the results of a hosted function, where they are items of their own."""

    @property
    def type(self) -> str:
        """The type of the items."""

    @property
    def prefix(self) -> str:
        """That of their ids."""

    def fields(self, result: HostedResult | None) -> JsonObject:
        """The fields of an item besides id, type and status; `result` is None before it is complete.

        The items have to say all that the model needs of the result in later turns.
        """


class CallForm(Protocol):
    """How clients see the calls of a hosted function: as one kind of output item, with events of its own."""

    @property
    def type(self) -> str:
        """The type of the items."""

    @property
    def prefix(self) -> str:
        """That of their ids."""

    @property
    def events(self) -> Mapping[Step, str]:
        """The types of the events; no event is sent for a step that is missing here."""

    @property
    def arguments_event(self) -> str | None:
        """The events for the arguments, without their `.delta` and `.done`; None when there are none."""

    def fields(self, name: str, arguments: str, result: HostedResult | None) -> JsonObject:
        """The fields of an item besides id, type and status; a status among them is that of the item.

        `name` is that of the function, `arguments` are what the model wrote so far, and `result` is None until the call
        has ended.
        """


@dataclass(frozen=True, slots=True)
class HostedFunction:
    """A function that the model may call and the gateway carries out."""

    name: str
    description: str
    schema: JsonObject
    form: CallForm
    namespace: str | None = None
    """What tells functions of the same name apart, such as the label of a server."""

    about: str = ""
    """What there is to say of all functions of the namespace."""

    asks: bool = False
    """Whether the client decides: a call is not carried out but shown to it, and ends the response."""

    result: ResultForm | None = None
    """How clients see what came of a call, if not in the item of the call."""

    one_at_a_time: bool = False
    """Whether calls of the functions of this namespace wait for each other."""


class HostedTool(Protocol):
    """A hosted tool as one request declares it."""

    @property
    def types(self) -> Collection[str]:
        """The types of its declarations."""

    def functions(self, declaration: JsonObject) -> Sequence[HostedFunction]:
        """The functions that stand for a declaration of the tool: always the same ones for the same declaration, so
        that prompt caches hold."""

    def chosen(self, choice: JsonObject) -> Collection[tuple[str | None, str]]:
        """The namespaces and names of the functions that a tool_choice of one of the types stands for."""

    def recalled(self, name: str, arguments: JsonObject, text: str) -> HostedResult:
        """The result of an earlier call of this tool, of which only the text is known."""


def _unseen(_: str, __: JsonObject) -> None:
    """Show nobody an event."""


@dataclass(frozen=True, slots=True, eq=False)
class HostedCall:
    """One call of the model that the gateway carries out; `arguments` are what it sent, parsed."""

    tool: HostedTool
    function: HostedFunction
    arguments: JsonObject
    show: Callable[[str, JsonObject], None] = _unseen
    """Shows the client an event of the call while it is carried out: its type, and its fields."""

    @property
    def name(self) -> str:
        return self.function.name
