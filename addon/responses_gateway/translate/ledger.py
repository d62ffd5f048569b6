"""Records everything that a translation dropped or changed, so that nothing is lost silently."""

from dataclasses import dataclass, field
from typing import Literal

type Action = Literal["dropped", "renamed", "changed", "capped", "repaired", "added", "learnt"]


@dataclass(slots=True)
class Entry:
    """One kind of change. `field` is a path in the client's request, or in the answer (`output.…`)."""

    action: Action
    field: str
    why: str
    count: int = 1

    def __str__(self) -> str:
        times = f" (×{self.count})" if self.count > 1 else ""
        return f"{self.action} {self.field}{times}: {self.why}"


@dataclass(slots=True)
class Ledger:
    """All changes of one turn, in the order in which they first occurred. Equal entries are counted."""

    _entries: dict[tuple[Action, str, str], Entry] = field(default_factory=dict)

    def add(self, action: Action, field: str, why: str) -> None:
        entry = self._entries.get((action, field, why))
        if entry is None:
            self._entries[action, field, why] = Entry(action, field, why)
        else:
            entry.count += 1

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())
