"""The log of upstream requests: JSON lines, one for each request when its answer has ended.

Fields: `time` (seconds since the epoch, when the turn was opened), `session`, `turn` (number in the session), `round`,
`model`, `upstream_model`, `provider`, `url`, `status`, `milliseconds`, `error`, `size` (bytes of the body), `sha256`
(of the body), `input_tokens`, `cached_tokens`, `output_tokens` (of the turn so far), `parts` (list of [path, end,
digest]; see `prefix.Part`), and `body` (the request as JSON) when bodies are wanted.
"""

import hashlib
import os
from pathlib import Path

from responses_gateway.inspection.recording.prefix import lasting_digest, outline
from responses_gateway.inspection.recording.recorded_turn import parsed
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.security.terminal import get_logger, lines

logger = get_logger(__name__)

ROTATE_AT = 64 << 20
"""Bytes of one file."""

KEPT = 3
"""Older files: `log.1` is the youngest of them."""


class UpstreamLog:
    """Appends to a file that only its owner can read; never raises for what is wrong with the disk."""

    def __init__(self, path: Path, bodies: bool = False, rotate_at: int = ROTATE_AT) -> None:
        self._path = path.expanduser()
        self._bodies = bodies
        self._rotate_at = rotate_at

    def write(self, facts: JsonObject, upstream_round: JsonObject, body: bytes) -> None:
        """One upstream request, with the facts of its turn."""
        # The file is read on terminals, too.
        line = lines(dumps(self._entry(facts, upstream_round, body)).decode()).encode() + b"\n"
        try:
            self._rotate(len(line))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                os.fchmod(descriptor, 0o600)
                file.write(line)
        except OSError as error:
            logger.error("the upstream log %s cannot be written: %s", self._path, error)

    def _entry(self, facts: JsonObject, upstream_round: JsonObject, body: bytes) -> JsonObject:
        request = parsed(body)
        usage = facts["usage"]
        entry = {
            "time": facts["opened"],
            "session": facts["session"],
            "turn": facts["number"],
            "round": upstream_round["number"],
            "model": facts["model"],
            "upstream_model": facts["upstream_model"],
            "provider": facts["provider"],
            "url": upstream_round["url"],
            "status": upstream_round["status"],
            "milliseconds": upstream_round["ended"] - upstream_round["began"],
            "error": upstream_round["error"],
            "size": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "input_tokens": usage.get("input_tokens", 0),
            "cached_tokens": (usage.get("input_tokens_details") or {}).get("cached_tokens", 0),
            "output_tokens": usage.get("output_tokens", 0),
            "parts": outline(request, lasting_digest).parts if isinstance(request, dict) else [],
        }
        return {**entry, "body": request} if self._bodies else entry

    def _rotate(self, more: int) -> None:
        try:
            full = self._path.stat().st_size + more > self._rotate_at
        except FileNotFoundError:
            return
        if not full:
            return
        for number in range(KEPT, 0, -1):
            older = rotated(self._path, number - 1)
            if older.exists():
                older.replace(rotated(self._path, number))


def rotated(path: Path, number: int) -> Path:
    """The file that holds older lines; number 0 is the log itself."""
    return path.with_name(f"{path.name}.{number}") if number else path
