"""One declared tool, as the upstream knows it and as clients do."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.tools.hosted import HostedFunction, HostedTool

type Kind = Literal["function", "custom", "tool_search", "local_shell", "shell", "apply_patch", "computer", "hosted"]


class Hosted(NamedTuple):
    """A function of a hosted tool."""

    tool: HostedTool
    function: HostedFunction


@dataclass(frozen=True, slots=True)
class Tool:
    """One declared tool. `schema` is that of the chat function's arguments."""

    kind: Kind
    namespace: str | None
    name: str
    wire: str
    schema: JsonObject
    description: str = ""
    strict: bool | None = None
    about: str = ""
    """The description of the namespace, which its first function carries."""

    hosted: Hosted | None = None
    """What the gateway carries out itself when the function is called."""

    deferred: bool = False
    """Whether it waits, or has waited, until a search finds it."""

    @property
    def identity(self) -> tuple[str, str | None, str]:
        return (self.kind, self.namespace, self.name)

    @property
    def call_namespace(self) -> str | None:
        """The namespace in the items of calls.

        A deferred function without a namespace has its own name there, as in OpenAI's API: openai-agents knows it by
        that alone.
        """
        return self.name if self.namespace is None and self.deferred else self.namespace
