"""Arguments of apply_patch where it is declared as a function: mended as the input of the custom tool is."""

import re

from responses_gateway.protocol.json import JsonObject, dumps_text, loads
from responses_gateway.translate.arguments import NOTHING_CAME, CallArguments, InputStream
from responses_gateway.translate.json_scan import Part
from responses_gateway.translate.patch import PatchMender, is_patch
from responses_gateway.translate.tools import Tool

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)


def patch_field(tool: Tool) -> str | None:
    """The argument that holds the patch, of a function named apply_patch that takes one string and nothing else."""
    properties = tool.schema.get("properties")
    if tool.name != "apply_patch" or not isinstance(properties, dict) or len(properties) != 1:
        return None
    [(name, schema)] = properties.items()
    return name if isinstance(schema, dict) and schema.get("type") == "string" else None


class PatchArguments(CallArguments):
    """The arguments of one such call, with the patch in `field`: held until they are complete.

    Right arguments come out byte for byte; so does what is not recognised.
    """

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field
        self._held: list[str] = []

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
        answer = _object(raw)
        if isinstance(answer.get(self._field), str):
            text, repairs = answer[self._field], list[str]()
        else:
            stream = InputStream(self._field)
            text, repairs = stream.feed(raw) + stream.finish(), stream.repairs
            answer = {}
        mender = PatchMender()
        patch = mender.feed(text) + mender.finish()
        if not is_patch(patch) or (answer and not mender.mends):
            return raw
        self.repairs += [*repairs, *mender.mends] or ["characters escaped that JSON does not take as they are"]
        return dumps_text({**answer, self._field: patch})

    def give_up(self) -> str:
        """Like `finish`, for arguments that were cut off: completed, half an edit would be applied."""
        return "".join(self._held)


def _object(text: str) -> JsonObject:
    """The JSON object in `text`, else an empty one; `loads` takes control characters in strings, clients do not."""
    try:
        value = loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict) or any(min(string) < " " for string in _STRING.findall(text)):
        return {}
    return value
