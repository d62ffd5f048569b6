"""Finds pictures in the text of a tool result.

Codex up to 0.130 puts the content list of an MCP result into the output as JSON text. Read as text, the base64 of a
picture costs a hundred thousand tokens and shows the model nothing.
"""

from responses_gateway.protocol.json import dumps_text, loads
from responses_gateway.protocol.responses import ImagePart, Part, TextPart

_LIST = '[{"'


def parts_in(text: str) -> list[Part] | None:
    """Return the parts of `text` if it is, or ends with, an MCP content list with a picture; None otherwise."""
    start = text.find(_LIST)
    if start < 0 or '"image"' not in text:
        return None
    try:
        entries = loads(text[start:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(entries, list) or not any(_is_picture(entry) for entry in entries):
        return None
    head = text[:start].rstrip("\n")
    parts: list[Part] = [TextPart(type="text", text=head)] if head else []
    return parts + [_part(entry) for entry in entries]


def _is_picture(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("type") == "image" and isinstance(entry.get("data"), str)


def _part(entry: object) -> Part:
    if _is_picture(entry) and isinstance(entry, dict):
        kind = entry.get("mimeType") or entry.get("mime_type") or "image/png"
        return ImagePart(type="input_image", image_url=f"data:{kind};base64,{entry['data']}")
    if isinstance(entry, dict) and entry.get("type") == "text" and isinstance(entry.get("text"), str):
        return TextPart(type="text", text=entry["text"])
    return TextPart(type="text", text=dumps_text(entry))
