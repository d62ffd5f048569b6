"""Code, patches and differences as HTML: lines in colours, everything escaped."""

import re
from collections.abc import Iterable, Iterator
from difflib import unified_diff

from markupsafe import Markup

LINES = 4_000
"""Lines that are compared at most: the time of a comparison grows with their square."""

_PATCH = re.compile(r"^(?:\*\*\* Begin Patch|diff --git |--- \S.*\n\+\+\+ )", re.MULTILINE)
_PLACE = re.compile(r"([-+])(\d{1,9})")
_PATCH_LANGUAGES = frozenset({"diff", "patch", "udiff"})
_KINDS = (
    ("***", "file"),
    ("diff --git ", "file"),
    ("+++", "file"),
    ("---", "file"),
    ("index ", "file"),
    ("@@", "hunk"),
    ("+", "added"),
    ("-", "gone"),
)


def code_block(text: str, language: str = "") -> Markup:
    """Code as it is; a patch in colours. `language` is what its author calls it."""
    if language.lower() in _PATCH_LANGUAGES or is_patch(text):
        return patch(text.split("\n"))
    label = Markup('<span class="language">{}</span>').format(language) if language else Markup("")
    return Markup('<div class="code-block">{}<pre><code>{}</code></pre></div>').format(label, text)


def is_patch(text: str) -> bool:
    """Whether a text is a patch, as `git diff` or Codex's `apply_patch` has them."""
    return _PATCH.search(text, 0, 4_000) is not None


def patch(lines: Iterable[str]) -> Markup:
    """The lines of a patch in colours."""
    return Markup('<pre class="patch">{}</pre>').format(Markup("").join(_lines(lines)))


def _lines(lines: Iterable[str]) -> Iterator[Markup]:
    for line in lines:
        kind = next((kind for start, kind in _KINDS if line.startswith(start)), "")
        yield Markup('<span class="{}">{}</span>').format(kind or "same", line)


def difference(before: str, after: str, context: int = 3) -> Markup | None:
    """What became of a text, line by line; None when nothing did."""
    if before == after:
        return None
    old, new = before.splitlines(), after.splitlines()
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    first, last = max(0, start - context), max(0, end - context)
    old, new = old[first : len(old) - last], new[first : len(new) - last]
    left_out = max(len(old), len(new)) - LINES
    lines = list(unified_diff(old[:LINES], new[:LINES], n=context, lineterm=""))[2:]
    shown = [_moved(line, first) if line.startswith("@@") else line for line in lines]
    if left_out > 0:
        shown.append(f"@@ {left_out:,} lines more are not compared @@")
    return patch(shown or ["@@ only the ends of lines differ @@"])


def _common(old: list[str], new: list[str]) -> int:
    """How many lines both begin with."""
    pairs = zip(old, new, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(old), len(new)))


def _moved(line: str, by: int) -> str:
    """The head of a hunk with its line numbers counted from the text's beginning."""
    return _PLACE.sub(lambda found: f"{found[1]}{int(found[2]) + by}", line)
