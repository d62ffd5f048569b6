"""Assigns tool call deltas to calls, although servers number, name and identify calls as they like.

Seen in the wild: no index, index 0 for every call, an id in the first delta only or in every one, a name in pieces,
repeated or empty in later deltas, arguments as an object.
"""

from dataclasses import dataclass, field

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.call_item import CallItem
from responses_gateway.translate.answer.call_items import arguments_text
from responses_gateway.translate.answer.parallel_calls import ParallelCalls


@dataclass(slots=True, eq=False)
class Call:
    """One call of the upstream. `waiting` holds arguments that came before its item was opened."""

    name: str = ""
    upstream_id: str | None = None
    extra: JsonObject | None = None
    waiting: list[str] = field(default_factory=list)
    queued: bool = False
    item: CallItem | None = None
    closed: bool = False
    successor: "Call | None" = None
    """The call whose arguments the model wrote right behind those of this one."""

    has_arguments: bool = False
    several: ParallelCalls | None = None
    """The calls that this one stands for, while they arrive."""


def name_in(delta: JsonObject) -> str:
    """Return the name in an entry of `tool_calls`, or the part of one."""
    name = _function(delta).get("name")
    return name if isinstance(name, str) else ""


def _function(delta: JsonObject) -> JsonObject:
    function = delta.get("function")
    return function if isinstance(function, dict) else delta


class CallAssembler:
    """Assigns deltas to calls. `calls` holds all calls, in the order of their first delta."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._by_index: dict[int, Call] = {}
        self._by_id: dict[str, Call] = {}

    def take(self, delta: JsonObject) -> tuple[Call, str]:
        """Return the call that `delta` belongs to, and the part of its arguments in the delta."""
        function = _function(delta)
        name = name_in(delta)
        call_id = delta.get("id")
        call_id = call_id if isinstance(call_id, str) and call_id else None
        index = delta.get("index")
        call = self._find(index if isinstance(index, int) and not isinstance(index, bool) else None, call_id, name)
        call.upstream_id = call.upstream_id or call_id
        if name and not call.has_arguments and name != call.name:
            call.name += name
        extra = delta.get("extra_content")
        if isinstance(extra, dict) and extra:
            call.extra = extra
        text = arguments_text(function.get("arguments"))
        call.has_arguments = call.has_arguments or bool(text)
        while call.successor is not None:
            call = call.successor
        return call, text

    def add(self, name: str) -> Call:
        """Add a call that came in no delta."""
        call = Call(name)
        self.calls.append(call)
        return call

    def _find(self, index: int | None, call_id: str | None, name: str) -> Call:
        known = self._by_index.get(index) if index is not None else self._latest(call_id, name)
        another = known is not None and known.upstream_id not in (None, call_id)
        if call_id is not None and (another or (known is None and not name)):
            known = self._by_id.get(call_id)
        elif known is not None and known.closed and name not in ("", known.name):
            known = None
        if known is None:
            known = self.add("")
        if index is not None:
            self._by_index[index] = known
        if call_id is not None:
            self._by_id[call_id] = known
        return known

    def _latest(self, call_id: str | None, name: str) -> Call | None:
        """Find the call of a delta without index."""
        if call_id is not None and call_id in self._by_id:
            return self._by_id[call_id]
        latest = self.calls[-1] if self.calls else None
        if latest is None or (call_id is not None and latest.upstream_id is not None):
            return None
        begins_another = bool(name) and latest.has_arguments
        return None if begins_another else latest
