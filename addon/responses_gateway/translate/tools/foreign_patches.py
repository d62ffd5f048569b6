"""Patches in forms that apply_patch does not take, and that say the same: unified diffs, new files without `+`.

Only what is whole and has one meaning is translated: a unified diff tells how many lines each hunk has.
"""

import re
from collections.abc import Iterator

BEGIN = "*** Begin Patch"
END = "*** End Patch"

_ADD = "*** Add File: "
_ENVELOPE = "*** "
_NOWHERE = "/dev/null"
_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_PREAMBLE = ("diff --git ", "index ", "new file mode ", "deleted file mode ")


def with_plus(patch: str) -> str | None:
    """A whole patch whose new files lack the `+` before each line; None where that is not plainly so."""
    lines, out, changed = patch.split("\n"), list[str](), False
    at = 0
    while at < len(lines):
        line = lines[at]
        out.append(line)
        at += 1
        if not line.startswith(_ADD):
            continue
        start = at
        while at < len(lines) and not lines[at].startswith(_ENVELOPE):
            at += 1
        content = lines[start:at]
        plain = _is_plain(content)
        changed = changed or plain
        out += [f"+{text}" for text in content] if plain else content
    return "\n".join(out) if changed else None


def _is_plain(content: list[str]) -> bool:
    """Whether the lines of a new file are its bare text; indented ones throughout might have a space for a `+`."""
    return (
        bool(content)
        and bool(content[-1].strip())
        and not any(line.startswith(("+", "@@")) for line in content)
        and not all(line.startswith(" ") for line in content if line.strip())
    )


def out_of_unified(text: str) -> str | None:
    """The patch that a whole unified diff stands for, with or without the first and last line of a patch around it."""
    lines = text.strip().split("\n")
    if lines[0].rstrip() == BEGIN and lines[-1].rstrip() == END:
        lines = lines[1:-1]
    if not any(line.startswith("--- ") for line in lines) or any(line.startswith(_ENVELOPE) for line in lines):
        return None
    try:
        out = [line for hunk in _files(lines) for line in hunk]
    except (ValueError, IndexError):
        return None
    return "\n".join([BEGIN, *out, END, ""])


def _files(lines: list[str]) -> Iterator[list[str]]:
    """The sections of the patch. Raises ValueError and IndexError for what is no whole diff, or means more."""
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].startswith(_PREAMBLE):
            at += 1
            continue
        old, new = _path(lines[at], "--- ", "a/"), _path(lines[at + 1], "+++ ", "b/")
        at += 2
        hunks: list[list[str]] = []
        while at < len(lines) and lines[at].startswith("@@"):
            hunk, at = _hunk(lines, at)
            hunks.append(hunk)
        yield _section(old, new, hunks)


def _path(line: str, mark: str, prefix: str) -> str:
    if not line.startswith(mark):
        raise ValueError(line)
    path = line.removeprefix(mark).split("\t")[0].strip()
    if not path or path.startswith('"'):
        raise ValueError(line)
    return path.removeprefix(prefix)


def _hunk(lines: list[str], at: int) -> tuple[list[str], int]:
    """The lines of one hunk, as many as it says that it has, and where the next thing begins."""
    header = _HUNK.match(lines[at])
    if header is None:
        raise ValueError(lines[at])
    old, new = (int(count) if count is not None else 1 for count in header.groups())
    at += 1
    hunk = []
    while old or new:
        line = lines[at] or " "
        at += 1
        if line[0] == "\\":
            continue
        if line[0] not in " +-":
            raise ValueError(line)
        old -= line[0] != "+"
        new -= line[0] != "-"
        if old < 0 or new < 0:
            raise ValueError(line)
        hunk.append(line)
    if at < len(lines) and lines[at].startswith("\\"):
        at += 1
    return hunk, at


def _section(old: str, new: str, hunks: list[list[str]]) -> list[str]:
    kinds = [{line[0] for line in hunk} for hunk in hunks]
    if old == _NOWHERE and kinds == [{"+"}]:
        return [f"{_ADD}{new}", *hunks[0]]
    if new == _NOWHERE and kinds == [{"-"}]:
        return [f"*** Delete File: {old}"]
    # A hunk that only adds has no place of its own without its line numbers.
    if old != new or not hunks or any(kind <= {"+"} or kind <= {" "} for kind in kinds):
        raise ValueError(new)
    return [f"*** Update File: {new}", *(line for hunk in hunks for line in ("@@", *hunk))]
