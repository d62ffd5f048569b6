"""The readable text of a web page, extracted by a process of its own: run this file with the content-type as argument
and the page as standard input.

Anybody can write a page that takes a parser minutes or gigabytes (a hundred thousand nested elements are enough). A
process of its own can be stopped.
"""

import re
import sys

from selectolax.lexbor import LexborHTMLParser, LexborNode

_NOISE = (
    "script, style, noscript, template, svg, canvas, iframe, object, embed, nav, header, footer, aside, form, button, "
    "dialog, [hidden], [aria-hidden=true]"
)
_BLOCKS = frozenset(
    (
        *("address", "article", "blockquote", "br", "dd", "details", "div", "dl", "dt", "figcaption", "figure"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "main", "ol", "p", "pre", "section", "summary"),
        *("table", "tbody", "td", "th", "thead", "tr", "ul"),
    )
)
_MAIN = ("main", "article", "[role=main]", "body")
_LITTLE = 200
"""Characters. A main part with fewer is not taken for the page's content."""

_CPU_SECONDS = 10
_MEMORY = 1 << 30

_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r" ?\n\s*")
"""A line break and all blank lines after it, in a text whose other white space is single blanks."""


def page_text(content: bytes, content_type: str) -> str:
    """The text of a page, one line for each block of an HTML page; other texts as they are.

    `content_type` is the header, in lower case. Never raises: what cannot be decoded is replaced.
    """
    is_html = "html" in content_type
    try:
        text = content.decode(_charset(content, content_type, is_html), "replace")
    except (LookupError, ValueError):
        text = content.decode("utf-8", "replace")
    return _html_text(text) if is_html else text.replace("\0", "")


def _charset(content: bytes, content_type: str, is_html: bool) -> str:
    found = _CHARSET.search(content_type)
    if found is None and is_html:
        found = _CHARSET.search(content[:2048].decode("ascii", "replace").lower())
    return found[1] if found else "utf-8"


def _html_text(html: str) -> str:
    tree = LexborHTMLParser(html)
    title = tree.css_first("title")
    heading = _tidy(title.text()) if title is not None else ""
    for node in tree.css(_NOISE):
        node.decompose()
    body = ""
    for selector in _MAIN:
        part = tree.css_first(selector)
        if part is None:
            continue
        body = _tidy(_block_text(part))
        if len(body) >= _LITTLE:
            break
    return f"{heading}\n{body}" if heading and not body.startswith(heading) else body


def _block_text(root: LexborNode) -> str:
    """All text below `root`, in document order, with line breaks where blocks begin and end."""
    pieces: list[str] = []
    for node in root.traverse(include_text=True):
        before = node.prev
        if node.tag in _BLOCKS or (before is not None and before.tag in _BLOCKS):
            pieces.append("\n")
        if node.is_text_node:
            pieces.append(node.text_content or "")
    return "".join(pieces)


def _tidy(text: str) -> str:
    return _BLANK_LINES.sub("\n", _SPACES.sub(" ", text.replace("\0", ""))).strip()


def _limit_resources() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    _limit_resources()
    sys.stdout.buffer.write(page_text(sys.stdin.buffer.read(), sys.argv[1]).encode("utf-8", "replace"))
