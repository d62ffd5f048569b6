"""Files that are text: every upstream takes their content, hardly any takes them as files."""

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from responses_gateway.protocol.responses import FilePart

_TEXT_TYPES = frozenset(
    {
        "application/ecmascript",
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/sql",
        "application/toml",
        "application/typescript",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-python",
        "application/x-sh",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
    }
)
"""Media types that are text without saying so; those that end with +json, +xml or +yaml are, too."""

_TEXT_ENDINGS = (
    *(".txt", ".md", ".rst", ".tex", ".log", ".csv", ".tsv", ".diff", ".patch"),
    *(".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".env", ".svg"),
    *(".html", ".htm", ".css", ".scss", ".js", ".mjs", ".jsx", ".ts", ".tsx", ".vue", ".graphql", ".proto"),
    *(".py", ".rb", ".php", ".pl", ".lua", ".r", ".jl", ".sh", ".bash", ".zsh", ".ps1", ".bat", ".sql"),
    *(".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".m", ".rs", ".go", ".java", ".kt", ".scala", ".swift", ".hs", ".ex"),
)
"""Names of text files, for data of which nobody says what it is."""

_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Control characters that stand in no text."""


def text_in(part: FilePart) -> str | None:
    """What a text file says; None for any other file, and for one that is not UTF-8."""
    data = data_of(part)
    if data is None:
        return None
    head, separator, body = data.partition(",")
    if not data.startswith("data:") or not separator:
        head, body = "data:;base64", data
    kind, *parameters = head.removeprefix("data:").split(";")
    is_text = _is_text(kind.strip().lower(), (part.filename or "").lower())
    if is_text is False:
        return None
    try:
        raw = base64.b64decode(body, validate=True) if "base64" in parameters else unquote_to_bytes(body)
        text = raw.decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None
    return None if is_text is None and (_NO_TEXT.search(text) or text.startswith("%PDF-")) else text


def data_of(part: FilePart) -> str | None:
    """The file's own data, also where it stands in a data: address."""
    if part.file_data:
        return part.file_data
    return part.file_url if part.file_url and part.file_url.startswith("data:") else None


def _is_text(kind: str, name: str) -> bool | None:
    """None when neither the type nor the name says it."""
    if kind in ("", "application/octet-stream"):
        return name.endswith(_TEXT_ENDINGS) or (False if "." in name else None)
    return kind.startswith("text/") or kind in _TEXT_TYPES or kind.endswith(("+json", "+xml", "+yaml"))
