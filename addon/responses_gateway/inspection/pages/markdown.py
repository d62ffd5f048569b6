"""Markdown as HTML, for texts that nobody vouches for: every character is escaped, and no HTML passes through.

It knows what models write: headings, paragraphs, lists, quotations, fenced code, tables, rules; and within a line code,
emphasis, struck-out words and links. Links lead to http and https only, and tell nobody where they were clicked;
pictures are shown as links. What it does not understand stays text. Time is linear in the length of the text.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile

from markupsafe import Markup, escape

from responses_gateway.inspection.pages.code import code_block

DEEPEST = 8
"""Lists and quotations in each other; deeper ones are text."""

LONGEST_LINE = 4_000
"""Characters of a paragraph in which marks are looked for; a longer one is text."""

_FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+([^`\n]{0,80}+)$")
_HEADING = re.compile(r"^ {0,3}(#{1,6}+)[ \t]++(.*)$")
_RULE = re.compile(r"^ {0,3}(?:(?:-[ \t]*+){3,}+|(?:\*[ \t]*+){3,}+|(?:_[ \t]*+){3,}+)$")
_ITEM = re.compile(r"^( {0,3})([-*+]|\d{1,9}[.)])([ \t]++)(?=\S)")
_QUOTE = re.compile(r"^ {0,3}> ?")
_CELL = r":?-++:?[ \t]*+"
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_DIVIDER = re.compile(rf"^ {{0,3}}\|?[ \t]*+{_CELL}(?:\|[ \t]*+{_CELL})*+\|?[ \t]*+$")
_LINK = (
    r"!?\[(?P<words>[^\[\]\n]{0,400}+)\]"
    r"\((?P<to>https?://[^\s()<>]{1,400}+(?:\([^\s()<>]{0,100}+\))?+)\)"
)
_ADDRESS = r"(?P<address>https?://[^\s<>\"'`)\]]{1,400}+)"
_MARKS = re.compile(
    r"(?P<escaped>\\[!-/:-@\[-`{-~])"
    r"|`(?P<code>[^`\n]{1,400}+)`"
    rf"|{_LINK}|{_ADDRESS}"
    r"|\*\*(?=\S)(?P<strong>[^*\n]{1,400}+)(?<=\S)\*\*"
    r"|(?<!\w)__(?=\S)(?P<strong2>[^_\n]{1,400}+)(?<=\S)__(?!\w)"
    r"|\*(?=\S)(?P<em>[^*\n]{1,400}+)(?<=\S)\*"
    r"|(?<!\w)_(?=\S)(?P<em2>[^_\n]{1,400}+)(?<=\S)_(?!\w)"
    r"|~~(?=\S)(?P<gone>[^~\n]{1,400}+)(?<=\S)~~"
)
"""No alternative is tried twice at a place: what is between two marks holds neither of them."""

_TAGS = {"strong": "strong", "strong2": "strong", "em": "em", "em2": "em", "gone": "del"}
_NEW_TAB = Markup('<a href="{}" rel="noreferrer noopener nofollow" target="_blank">{}</a>')


def markdown(text: str) -> Markup:
    """A text as HTML."""
    lines = text.replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return Markup("\n").join(_blocks(lines, 0))


def _blocks(lines: Sequence[str], depth: int) -> Iterator[Markup]:
    """The blocks that some lines are."""
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif fence := _FENCE.match(line):
            at, block = _fenced(lines, at, fence)
            yield block
        elif heading := _HEADING.match(line):
            level = min(6, len(heading[1]) + 2)
            yield Markup("<h{0}>{1}</h{0}>").format(level, _inline(heading[2].rstrip().rstrip("#").rstrip()))
            at += 1
        elif _RULE.match(line):
            yield Markup("<hr>")
            at += 1
        elif depth < DEEPEST and _QUOTE.match(line):
            inner = list(takewhile(_QUOTE.match, islice(lines, at, None)))
            yield Markup("<blockquote>{}</blockquote>").format(
                Markup("\n").join(_blocks([_QUOTE.sub("", one, count=1) for one in inner], depth + 1))
            )
            at += len(inner)
        elif depth < DEEPEST and _ITEM.match(line):
            at, block = _list(lines, at, depth)
            yield block
        elif "|" in line and at + 1 < len(lines) and "|" in lines[at + 1] and _DIVIDER.match(lines[at + 1]):
            at, block = _table(lines, at)
            yield block
        else:
            at, block = _paragraph(lines, at)
            yield block


def _fenced(lines: Sequence[str], at: int, fence: re.Match[str]) -> tuple[int, Markup]:
    """Code up to the line that closes it, or to the end: a stream may not have come so far."""
    mark, language = fence[1], fence[2].strip()
    closing = re.compile(rf"^ {{0,3}}{mark[0]}{{{len(mark)},}}[ ]*$")
    end = next((index for index in range(at + 1, len(lines)) if closing.match(lines[index])), len(lines))
    return end + 1, code_block("\n".join(lines[at + 1 : end]), language)


def _list(lines: Sequence[str], at: int, depth: int) -> tuple[int, Markup]:
    """Items of one kind; what is indented behind an item belongs to it."""
    first = _ITEM.match(lines[at])
    assert first is not None  # noqa: S101 (the caller looked)
    is_ordered = first[2][-1] in ".)"
    items: list[list[str]] = []
    width = 0
    while at < len(lines):
        line = lines[at]
        item = _ITEM.match(line)
        indent = len(line) - len(line.lstrip(" "))
        if item and (not items or indent < max(width, 2)):
            if (item[2][-1] in ".)") != is_ordered or _RULE.match(line):
                break
            width = item.end()
            items.append([line[width:]])
        elif not line.strip():
            following = next((one for one in lines[at + 1 : at + 3] if one.strip()), "")
            if not (following.startswith("  ") or _ITEM.match(following)):
                break
            items[-1].append("")
        elif indent >= 2:
            items[-1].append(line[min(indent, width) :])
        elif items[-1][-1] and not (_FENCE.match(line) or _HEADING.match(line) or _QUOTE.match(line)):
            items[-1].append(line)
        else:
            break
        at += 1
    inner = Markup("").join(Markup("<li>{}</li>").format(_item(one, depth)) for one in items)
    if not is_ordered:
        return at, Markup("<ul>{}</ul>").format(inner)
    return at, Markup('<ol start="{}">{}</ol>').format(int(first[2][:-1]), inner)


def _item(lines: Sequence[str], depth: int) -> Markup:
    """A list item; one of a single paragraph is shown without the space around paragraphs."""
    blocks = list(_blocks(lines, depth + 1))
    if blocks and blocks[0].startswith("<p>") and len(blocks[0]) >= len("<p></p>"):
        blocks[0] = Markup(blocks[0][len("<p>") : -len("</p>")])  # noqa: S704 (made and escaped by `_paragraph`)
    return Markup("\n").join(blocks)


def _table(lines: Sequence[str], at: int) -> tuple[int, Markup]:
    head = _cells(lines[at])
    body = list(takewhile(lambda line: "|" in line and line.strip(), islice(lines, at + 2, None)))
    rows = (_cells(line)[: len(head)] for line in body)
    return at + 2 + len(body), Markup(
        '<div class="wraps"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(
        Markup("").join(Markup("<th>{}</th>").format(_inline(cell)) for cell in head),
        Markup("").join(
            Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(_inline(cell)) for cell in row))
            for row in rows
        ),
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL_BORDER.split(line.strip().removeprefix("|").removesuffix("|"))]


def _paragraph(lines: Sequence[str], at: int) -> tuple[int, Markup]:
    end = at + 1
    while end < len(lines) and not _begins_block(lines[end]):
        end += 1
    whole = Markup("<br>").join(_inline(line.strip()) for line in lines[at:end])
    return end, Markup("<p>{}</p>").format(whole)


def _begins_block(line: str) -> bool:
    return not line.strip() or any(one.match(line) for one in (_FENCE, _HEADING, _QUOTE, _ITEM, _RULE))


def _inline(text: str, depth: int = 0) -> Markup:
    """One line with the marks within it."""
    if len(text) > LONGEST_LINE or depth > 3:
        return escape(text)
    parts: list[Markup] = []
    end = 0
    for mark in _MARKS.finditer(text):
        parts += [escape(text[end : mark.start()]), _marked(mark, depth)]
        end = mark.end()
    return Markup("").join([*parts, escape(text[end:])])


def _marked(mark: re.Match[str], depth: int) -> Markup:
    kind = mark.lastgroup or ""
    if kind == "escaped":
        return escape(mark[0][1:])
    if kind == "code":
        return Markup("<code>{}</code>").format(mark["code"].strip() or mark["code"])
    if kind == "to":
        return _NEW_TAB.format(mark["to"], _inline(mark["words"] or mark["to"], 4))
    if kind == "address":
        address = mark[0].rstrip(".,;:!?")
        return _NEW_TAB.format(address, address) + escape(mark[0][len(address) :])
    return Markup("<{0}>{1}</{0}>").format(_TAGS[kind], _inline(mark[kind], depth + 1))
