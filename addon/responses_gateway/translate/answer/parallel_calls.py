"""`multi_tool_use.parallel`: one call that stands for several, as some models were taught to make them."""

from responses_gateway.protocol.json import dumps_text, loads
from responses_gateway.protocol.json_scanner import ObjectScanner

_NAMES = frozenset({"multi_tool_use.parallel", "multi_tool_use_parallel", "functions.multi_tool_use.parallel"})


def stands_for_several(name: str) -> bool:
    return name in _NAMES


class ParallelCalls:
    """The arguments of such a call, while they arrive."""

    def __init__(self) -> None:
        self._scanner = ObjectScanner()
        self._pieces: list[str] = []

    def feed(self, text: str) -> bool:
        """Take the next piece; whether the arguments are whole."""
        self._pieces.append(text)
        for _ in self._scanner.feed(text):
            pass
        return self._scanner.complete

    def calls(self) -> list[tuple[str, str]] | None:
        """The names and arguments of the calls; None if what came is not in the known form."""
        try:
            uses = loads("".join(self._pieces))["tool_uses"]
            calls = [(use["recipient_name"], use["parameters"]) for use in uses]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        if not calls or not all(isinstance(name, str) and name and isinstance(given, dict) for name, given in calls):
            return None
        return [(name.removeprefix("functions."), dumps_text(given)) for name, given in calls]
