"""What the settings say of tools, whoever declares them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from responses_gateway.protocol.chat import ChatMessage
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer

_NEVER_HOSTED = ("function", "custom", "namespace")


class DeniedCall(NonCompliantAnswer):
    """The model called a tool that it was not offered because the settings forbid it; asking once more may help."""

    def __init__(self, name: str) -> None:
        super().__init__("", f"it calls {name}, which deny_tools forbids")
        self.message = f"The model called {name}, which the gateway's deny_tools forbids."
        self._name = name

    def correction(self) -> list[ChatMessage]:
        return [{"role": "user", "content": f"There is no tool {self._name} here. Go on without it."}]


@dataclass(frozen=True, slots=True)
class ToolRules:
    """`deny` holds globs of names, namespaces and types; `hosted`, the types that the upstream carries out itself."""

    deny: Sequence[str] = ()
    hosted: Collection[str] = ()

    def denies(self, *names: str | None) -> bool:
        """Whether one of the names is denied."""
        return any(name and fnmatchcase(name, glob) for glob in self.deny for name in names)

    def passes_on(self, kind: object) -> bool:
        """Whether declarations of this type go to the upstream as they are."""
        return kind in self.hosted and kind not in _NEVER_HOSTED


NO_RULES = ToolRules()
