"""Repairs the arguments of apply_patch where it is declared as a function, as the input of the custom tool."""

from dataclasses import dataclass

from responses_gateway.protocol.json import JsonObject, dumps_text, loads, object_text
from responses_gateway.protocol.json_scanner import Part
from responses_gateway.translate.tools.arguments import NOTHING_CAME, CallArguments, InputStream
from responses_gateway.translate.tools.declared_tool import Tool
from responses_gateway.translate.tools.patch import PatchRepairer, is_patch


def patch_field(tool: Tool) -> str | None:
    """The argument that holds the patch, of a function named apply_patch that takes one string and nothing else."""
    properties = tool.schema.get("properties")
    if tool.name != "apply_patch" or not isinstance(properties, dict) or len(properties) != 1:
        return None
    [(name, schema)] = properties.items()
    return name if isinstance(schema, dict) and schema.get("type") == "string" else None


@dataclass(frozen=True, slots=True)
class _Repaired:
    """Arguments after all repairs; `lacked_end`: the patch's last line had not come."""

    arguments: str
    repairs: list[str]
    lacked_end: bool


class PatchArguments(CallArguments):
    """The arguments of one such call, with the patch in `field`: held until they are complete.

    Correct arguments stay unchanged, byte for byte; so do those that are not recognised.
    """

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field
        self._held: list[str] = []
        self._repaired: _Repaired | None = None

    @property
    def complete(self) -> bool:
        """As for all arguments, but a patch that lacks its last line may go on to the end of the answer."""
        return super().complete and not self._repair().lacked_end

    def feed(self, text: str) -> str:
        """Take the next piece; returns what may be sent to the client now, which is nothing."""
        for part, piece, _ in self._scanner.feed(text):
            (self._rest if part is Part.REST else self._held).append(piece)
        return ""

    def finish(self) -> str:
        """The arguments."""
        raw = "".join(self._held)
        if not raw.strip():
            self.repairs.append(NOTHING_CAME)
            return "{}"
        if self.cut:
            return raw
        repaired = self._repair()
        self.repairs += repaired.repairs
        return repaired.arguments

    def give_up(self) -> str:
        """Like `finish`, for arguments that were cut off: completed, half an edit would be applied."""
        return "".join(self._held)

    def _repair(self) -> _Repaired:
        if self._repaired is None:
            self._repaired = self._repair_all("".join(self._held))
        return self._repaired

    def _repair_all(self, raw: str) -> _Repaired:
        # Clients take no control characters in strings.
        answer: JsonObject = loads(raw) if object_text(raw) == raw else {}
        if isinstance(answer.get(self._field), str):
            text, repairs = answer[self._field], list[str]()
        else:
            stream = InputStream(self._field)
            text, repairs = stream.feed(raw) + stream.finish(), stream.repairs
            answer = {}
        repairer = PatchRepairer()
        fed = repairer.feed(text)
        lacked_end = not repairer.ended
        patch = fed + repairer.finish(closed=super().complete)
        if not is_patch(patch) or (answer and not repairer.repairs):
            return _Repaired(raw, [], lacked_end)
        repairs = [*repairs, *repairer.repairs] or ["characters escaped that JSON does not take as they are"]
        return _Repaired(dumps_text({**answer, self._field: patch}), repairs, lacked_end)
