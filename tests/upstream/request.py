"""What the upstream was asked."""

import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

JsonObject = dict[str, Any]


class Ending(Enum):
    """How the exchange ended, as the upstream saw it."""

    ANSWERED = "the whole answer was sent"
    CUT = "the script cut the connection"
    CLIENT_LEFT = "the client closed the connection before the answer was complete"


@dataclass
class Request:
    """One recorded HTTP request; header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: JsonObject
    _ending: Future[Ending] = field(default_factory=Future, repr=False)

    def wait_ending(self, timeout: float = 60) -> Ending:
        """Wait until the exchange is over. Raises TimeoutError when it is not within `timeout` seconds."""
        try:
            return self._ending.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"{self.method} {self.path} is still being answered after {timeout} s") from None

    def ended(self, ending: Ending) -> None:
        if not self._ending.done():
            self._ending.set_result(ending)

    @property
    def messages(self) -> list[JsonObject]:
        messages: list[JsonObject] = self.body["messages"]
        return messages

    def roles(self) -> list[str]:
        return [message["role"] for message in self.messages]

    def last(self, role: str) -> JsonObject:
        """The last message of that role."""
        return [message for message in self.messages if message["role"] == role][-1]

    def text(self, role: str) -> str:
        """The text of the last message of that role."""
        content = self.last(role)["content"]
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

    def pictures(self) -> list[JsonObject]:
        """All `image_url` objects of the user messages, in order."""
        contents = [message["content"] for message in self.messages if message["role"] == "user"]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        return [part["image_url"] for part in parts if part["type"] == "image_url"]

    def tool_result(self, call_id: str) -> Any:
        """The content of the one tool message that answers `call_id`."""
        results = [m["content"] for m in self.messages if m["role"] == "tool" and m["tool_call_id"] == call_id]
        assert len(results) == 1, f"{len(results)} tool messages for {call_id}: {self.roles()}"
        return results[0]

    @property
    def tools(self) -> dict[str, JsonObject]:
        """The functions offered, by wire name."""
        functions = [tool["function"] for tool in self.body.get("tools", [])]
        names = [function["name"] for function in functions]
        assert len(set(names)) == len(names), f"a tool is offered twice: {names}"
        return {function["name"]: function for function in functions}

    def tool(self, name: str) -> str:
        """The wire name of the one offered tool called `name`, in whatever namespace."""
        found = [wire for wire in self.tools if wire == name or wire.endswith(f"__{name}")]
        assert len(found) == 1, f"{len(found)} tools are called {name!r} among {sorted(self.tools)}"
        return found[0]

    def freeform(self, name: str, value: str) -> tuple[str, JsonObject]:
        """Wire name and arguments for a custom tool, which reaches the upstream as a function with one string."""
        wire = self.tool(name)
        properties = self.tools[wire]["parameters"]["properties"]
        assert len(properties) == 1, f"{wire} has the parameters {sorted(properties)}, not one"
        return wire, dict.fromkeys(properties, value)


def parsed_body(raw: bytes) -> JsonObject:
    if not raw:
        return {}
    body = json.loads(raw)
    assert isinstance(body, dict), "the upstream got a JSON body that is not an object"
    return body
