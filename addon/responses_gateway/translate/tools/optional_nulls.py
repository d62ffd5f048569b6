"""Arguments that are null because the model had nothing to say: left out where the schema takes no null.

Strict clients refuse `"timeout_ms": null` for an optional number; leaving an optional property out says the same.
"""

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.json_scanner import Part, StringDecoder


class NullOmitter:
    """Leaves out such members of one top-level object while it arrives; all else comes out as it went in."""

    def __init__(self, schema: JsonObject, repairs: list[str]) -> None:
        self._omitted = omittable(schema)
        self._repairs = repairs
        self._held: list[str] = []
        """What stands before a value: the comma, the key and the colon of a member that may be left out."""

        self._key: list[str] = []
        self._name = ""
        self._has_member = False

    def pass_on(self, part: Part, piece: str, ended: bool) -> str:
        """A piece of what is no value, as it is to be shown now."""
        if not self._omitted:
            return piece
        if part is Part.KEY:
            self._key.append(piece)
            if ended:
                self._name, self._key = StringDecoder().feed("".join(self._key)), []
        elif part is not Part.SPACE and piece not in (",", ":"):
            return self.release() + piece
        self._held.append(piece)
        return ""

    def whole_value(self, value: str) -> str:
        """A value as it is to be shown, with what stands before it."""
        if value == "null" and self._name in self._omitted:
            self._held = []
            self._repairs.append(f"{self._name}: null left out, the argument is optional")
            return ""
        return self.head() + value

    def head(self) -> str:
        """What stands before a value that is shown: without a comma, if all before it was left out."""
        head = self.release()
        if not self._has_member and head:
            self._has_member = True
            without_space = head.lstrip()
            return without_space[1:] if without_space.startswith(",") else head
        return head

    def release(self) -> str:
        """What is held, because no value follows."""
        held, self._held = "".join(self._held), []
        return held


def omittable(schema: JsonObject) -> frozenset[str]:
    """The optional properties that take no null."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return frozenset()
    needed = required if isinstance(required, list) else []
    return frozenset(name for name, inner in properties.items() if name not in needed and _refuses_null(inner))


def _refuses_null(schema: object) -> bool:
    """Whether a schema names its types in plain words, and null is none of them."""
    if not isinstance(schema, dict) or schema.get("nullable") is True:
        return False
    kind = schema.get("type")
    kinds = [kind] if isinstance(kind, str) else kind
    return isinstance(kinds, list) and bool(kinds) and "null" not in kinds
