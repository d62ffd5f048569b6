"""Repairs the input of apply_patch: models wrap patches in fences, JSON or shell, or forget the envelope.

The grammar is the one Codex declares with the tool:

    start: begin_patch hunk+ end_patch
    begin_patch: "*** Begin Patch" LF        end_patch: "*** End Patch" LF?
    hunk: "*** Add File: " | "*** Delete File: " | "*** Update File: " …, then lines beginning with "@@", " ", "+", "-"

Lines of content always carry a prefix there, so an envelope line at the very beginning of a line is never content.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from responses_gateway.protocol.json import loads
from responses_gateway.protocol.json_scanner import unescape
from responses_gateway.translate.tools.foreign_patches import BEGIN as _BEGIN
from responses_gateway.translate.tools.foreign_patches import END as _END
from responses_gateway.translate.tools.foreign_patches import out_of_unified, with_plus

_HUNK = re.compile(r"^\*\*\* (?:Add|Delete|Update) File: ", re.MULTILINE)
_RIGHT_START = re.compile(r"\*\*\* Begin Patch[ \t]*\r?\n\*\*\* (?!Add File: [^\n]*\n[^+*])")
_NEW_FILE = re.compile(r"\*\*\* (?:A(?:d(?:d(?: (?:F[^\n]*)?)?)?)?)?\Z|\*\*\* Add File: [^\n]*\n?\Z")
"""The second line of a patch, as long as the first line of a new file may follow."""

_ENVELOPE_LINE = re.compile(r"^\*\*\* ", re.MULTILINE)
_END_LINE = re.compile(r"^\*\*\* End Patch", re.MULTILINE)
_LONGEST_FIRST_LINE = 64

_FENCE = re.compile(r"\s*(`{3}|~{3})[^\n]*\n")
_HEREDOC = re.compile(
    r"""\s*(?:cd\s+(?P<cd>"[^"\n]*"|'[^'\n]*'|[^\s;&|]+)\s*(?:&&|;)\s*)?
        (?:(?:\S*/)?apply_?patch\s*)?<<-?\s*(?P<quote>["']?)(?P<word>\w+)(?P=quote)[ \t]*\r?\n
        (?P<patch>.*?)(?P<end>\n[ \t]*+(?P=word)[ \t]*+[)"']*+\s*+)?""",
    re.DOTALL | re.VERBOSE,
)
_PATH_LINE = re.compile(r"^(\*\*\* (?:(?:Add|Delete|Update) File|Move to): )(?!/)", re.MULTILINE)
_SHELL_SYNTAX = re.compile(r"[$`~*?\\(){}]")
_WHOLE_BEGIN_LINE = re.compile(r"^\*\*\* Begin Patch[ \t]*$", re.MULTILINE)
_WHOLE_END_LINE = re.compile(r"^\*\*\* End Patch[ \t]*$", re.MULTILINE)
_BARE_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
_BACKSLASH_N = re.compile(r"(?<!\\)((?:\\\\)*)\\n")
_LINE_OF_A_PATCH = re.compile(r"\*\*\* |@@|[ +-]|\Z")


class PatchRepairer:
    """Repairs one apply_patch input that arrives in pieces.

    A patch that begins correctly streams through, and stays unchanged if it is correct to the end. Anything else is
    held until `finish` repairs it, or passes it on unchanged when it is not recognised. `give_up` ends a patch that was
    cut off: without a last line the client refuses it, but if it were completed, half an edit would be applied.
    """

    def __init__(self) -> None:
        self.repairs: list[str] = []
        """Descriptions of the repairs, for people."""
        self._held: list[str] = []
        self._decided = False
        self._through: _PassThrough | None = None
        self._held_ended: bool | None = None

    @property
    def ended(self) -> bool:
        """Whether the last line of the patch has come."""
        if self._through is not None:
            return self._through.ended
        if self._held_ended is None:
            self._held_ended = is_patch(_repair("".join(self._held), [], closed=False))
        return self._held_ended

    def feed(self, text: str) -> str:
        """Take the next piece. Returns what can be sent to the client now."""
        if self._through is not None:
            return self._through.feed(text)
        if text:
            self._held.append(text)
            self._held_ended = None
        if self._decided:
            return ""
        start = "".join(self._held)
        self._held = [start]
        if not _may_judge(start):
            return ""
        self._decided = True
        if not _RIGHT_START.match(start):
            return ""
        self._through = _PassThrough(self.repairs)
        return self._through.feed(start)

    def finish(self, *, closed: bool) -> str:
        """Return what is left to send after the last piece.

        `closed`: the model itself has ended the string that holds the patch, so that only a last line that it forgot
        can be missing.
        """
        if self._through is not None:
            return self._through.finish(closed=closed)
        return _repair("".join(self._held), self.repairs, closed=closed)

    def give_up(self) -> str:
        """Like `finish`, for a patch that was cut off: returns the rest without a repair."""
        return self._through.give_up() if self._through is not None else "".join(self._held)


def _may_judge(start: str) -> bool:
    """Whether the beginning is long enough to tell whether it is right."""
    first, newline, second = start.partition("\n")
    if not newline:
        return len(first) > _LONGEST_FIRST_LINE
    return len(second) >= len("*** ") and _NEW_FILE.match(second) is None


class _PassThrough:
    """Passes a patch through that began correctly, and drops text after its last line."""

    def __init__(self, repairs: list[str]) -> None:
        self._repairs = repairs
        self._line = ""
        """The beginning of the current line while it may become the last one; not yet sent."""
        self._in_line = False
        """The current line cannot be the last one: it was sent."""
        self._after: list[str] | None = None

    @property
    def ended(self) -> bool:
        return self._after is not None

    def feed(self, text: str) -> str:
        if self._after is not None:
            self._after.append(text)
            return ""
        text = self._line + text
        search_from = text.find("\n") if self._in_line else 0
        end = _END_LINE.search(text, search_from) if search_from >= 0 else None
        if end is not None:
            self._after = [text[end.end() :]]
            return text[: end.end()]
        line_start = text.rfind("\n") + 1
        last = text[line_start:]
        may_be_end = (line_start > 0 or not self._in_line) and _END.startswith(last)
        self._line = last if may_be_end else ""
        self._in_line = not may_be_end
        return text[:line_start] if may_be_end else text

    def give_up(self) -> str:
        return self._line if self._after is None else "".join(self._after)

    def finish(self, *, closed: bool) -> str:
        if self._after is None:
            # A line without its end may be half a line.
            if not closed or self._in_line or self._line:
                return self._line
            self._repairs.append(f'added missing "{_END}"')
            return _END
        after = "".join(self._after)
        if after.strip() and not after[:1].isalnum() and not _ENVELOPE_LINE.search(after):
            self._repairs.append(f'dropped text after "{_END}"')
            return "\n"
        return after


def _repair(text: str, repairs: list[str], *, closed: bool) -> str:
    """The patch in `text`, or `text` itself when none is recognised; each repair is named in `repairs`."""
    unified: list[_Repair] = [("translated from a unified diff", out_of_unified)] if closed else []
    steps: list[_Repair] = [
        *unified,
        *_REPAIRS,
        ("missing first or last line added", partial(_with_envelope, closed=closed)),
    ]
    patch, done = text, list[str]()
    # Each repair takes one wrapper off, and wrappers are nested a few deep at most.
    for _ in range(len(steps) + 2):
        if is_patch(patch):
            for name, translate in (*unified, ("new files given the + before each line", with_plus)):
                translated = translate(patch)
                if translated is not None:
                    patch = translated
                    done.append(name)
            repairs += done
            return patch
        for name, repair in steps:
            repaired = repair(patch)
            if repaired is not None:
                patch = repaired
                done.append(name)
                break
        else:
            return text
    return text


def is_patch(text: str) -> bool:
    """Whether `text` begins with the first line of a patch and ends with its last."""
    lines = text.strip().splitlines()
    return len(lines) > 1 and lines[0].rstrip() == _BEGIN and lines[-1].rstrip() == _END


def _out_of_json(text: str) -> str | None:
    """The one string with a patch in `{"input": "…"}`, `{"command": ["apply_patch", "…"]}`, `"…"` and the like."""
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return None
    try:
        patches = [found for found in _strings(loads(text)) if _HUNK.search(found) or _BEGIN in found]
    except (ValueError, RecursionError):
        return None
    return patches[0] if len(patches) == 1 else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _unescaped(text: str) -> str | None:
    r"""A patch in one line, with `\n` where its newlines were."""
    line = text.strip()
    if "\n" in line or "\\n" not in line or not (line.startswith(_BEGIN) or _HUNK.match(line)):
        return None
    # Quotes that are not escaped show that newlines alone were: then other backslashes are the files' own.
    fully = _BARE_QUOTE.search(line) is None
    patch = unescape(line) if fully else _BACKSLASH_N.sub(r"\1\n", line)
    return patch if all(_LINE_OF_A_PATCH.match(part) for part in patch.split("\n")) else None


def _out_of_fence(text: str) -> str | None:
    """What stands in a code fence, which may lack its end."""
    fence = _FENCE.match(text)
    if fence is None:
        return None
    body, newline, last = text[fence.end() :].rstrip().rpartition("\n")
    closing = last.lstrip(" \t")
    if newline and closing.startswith(fence[1]) and not closing.strip("`~"):
        return body + newline
    return text[fence.end() :]


def _out_of_heredoc(text: str) -> str | None:
    """The patch that a shell would have fed to apply_patch; after `cd DIR`, with its paths below DIR."""
    heredoc = _HEREDOC.fullmatch(text)
    if heredoc is None:
        return None
    patch = heredoc["patch"] + ("\n" if heredoc["end"] else "")
    if heredoc["cd"] is None:
        return patch
    directory = heredoc["cd"].strip("\"'").rstrip("/") or "/"
    if _SHELL_SYNTAX.search(directory):
        return None
    prefix = directory if directory.endswith("/") else f"{directory}/"
    return _PATH_LINE.sub(lambda line: line[1] + prefix, patch)


def _out_of_prose(text: str) -> str | None:
    """Whole envelope lines with other text around them, which is no part of a patch."""
    begin = _WHOLE_BEGIN_LINE.search(text)
    ends = list(_WHOLE_END_LINE.finditer(text))
    if begin is None or len(ends) != 1 or ends[0].start() < begin.end():
        return None
    before, after = text[: begin.start()], text[ends[0].end() :]
    if not (before.strip() or after.strip()) or _ENVELOPE_LINE.search(before + "\n" + after):
        return None
    if "<<" in before:  # a shell command that could not be read: it may change the directory
        return None
    return text[begin.start() : ends[0].end()] + "\n"


def _with_envelope(text: str, *, closed: bool) -> str | None:
    """Hunks without the first line; if the text is `closed` and its lines are whole, also without the last one."""
    patch = text.strip("\r\n")
    if patch.startswith(_BEGIN + "\n"):
        begin = ""
    elif _HUNK.match(patch):
        begin = _BEGIN + "\n"
    else:
        return None
    last = patch.rpartition("\n")[2].rstrip()
    if last == _END:
        return f"{begin}{patch}\n"
    return f"{begin}{patch}\n{_END}\n" if closed and text.endswith("\n") else None


type _Repair = tuple[str, Callable[[str], str | None]]
"""What is done, for people, and what does it; None where there is nothing to repair."""

_REPAIRS: list[_Repair] = [
    ("taken out of JSON", _out_of_json),
    ("newlines unescaped", _unescaped),
    ("taken out of a code fence", _out_of_fence),
    ("taken out of a shell heredoc", _out_of_heredoc),
    ("taken out of surrounding text", _out_of_prose),
]
