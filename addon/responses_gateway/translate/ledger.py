"""Records everything that a translation dropped or changed, so that nothing is lost silently."""

from dataclasses import dataclass, field
from typing import Literal

from responses_gateway.protocol.errors import GatewayError

type Action = Literal["dropped", "renamed", "changed", "capped", "repaired", "added", "learnt"]

_LOSSES = frozenset({"dropped", "changed", "capped"})
_SHOWN = 10
"""How many losses an error names."""


@dataclass(slots=True)
class Entry:
    """One kind of change. `field` is a path in the client's request, or in the answer (`output.…`)."""

    action: Action
    field: str
    why: str
    loss: bool
    """Whether the request means less, or something else, than the client said."""

    count: int = 1

    def __str__(self) -> str:
        times = f" (×{self.count})" if self.count > 1 else ""
        return f"{self.action} {self.field}{times}: {self.why}"


@dataclass(slots=True)
class Ledger:
    """All changes of one turn, in the order in which they first occurred. Equal entries are counted."""

    _entries: dict[tuple[Action, str, str], Entry] = field(default_factory=dict)

    def add(self, action: Action, field: str, why: str, *, loss: bool | None = None) -> None:
        """Add an entry. What was dropped, changed or capped of a request is a loss, unless `loss` says that this was a
        matter of form; everything else is none, unless it says so."""
        entry = self._entries.get((action, field, why))
        if entry is not None:
            entry.count += 1
            return
        if loss is None:
            loss = action in _LOSSES and not field.startswith("output")
        self._entries[action, field, why] = Entry(action, field, why, loss)

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    @property
    def losses(self) -> list[Entry]:
        """What the client said and does not hold."""
        return [entry for entry in self._entries.values() if entry.loss]

    def refuse_losses(self) -> None:
        """Raise GatewayError 400 if there are any; its param is the first one's field."""
        if not (losses := self.losses):
            return
        named = "; ".join(str(entry)[:300] for entry in losses[:_SHOWN])
        more = f"; and {len(losses) - _SHOWN} more" if len(losses) > _SHOWN else ""
        raise GatewayError(
            f"This gateway is strict, and the request could not be served as it is: {named}{more}.",
            code="unsupported_parameter",
            param=losses[0].field,
        )
