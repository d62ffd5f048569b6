"""Makes text harmless before it reaches a terminal or a log.

Text of models, upstreams and clients may move the cursor, change the window's title, forge lines of the log or reverse
the reading order. Everything that is printed or logged passes through here; ordinary text stays as it is.
"""

import logging
import re
import sys
import traceback
from typing import TextIO

_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""C0 and C1 controls, what changes the direction of text, line separators, and halves of characters."""

_IN_LINES = re.compile(f"[{_CONTROLS}]")
_IN_ONE_LINE = re.compile(f"[\n{_CONTROLS}]")
_NAMED = {"\n": "\\n", "\r": "\\r"}


def one_line(text: str) -> str:
    """The text as part of a line: nothing in it controls a terminal, or begins a line."""
    return _IN_ONE_LINE.sub(_escaped, text)


def lines(text: str) -> str:
    """The text with its line breaks: nothing else in it controls a terminal. JSON stays the same JSON."""
    return _IN_LINES.sub(_escaped, text)


def say(*text: str, to: TextIO | None = None, flush: bool = False) -> None:
    """Print lines, one for each argument, on standard output or `to`."""
    for line in text or ("",):
        print(one_line(line), file=to or sys.stdout, flush=flush)


def ask(question: str) -> str:
    """Ask the user, and return the answer. Raises EOFError."""
    return input(one_line(question))


def get_logger(name: str) -> logging.Logger:
    """The logger of a module, whose records are printable."""
    logger = logging.getLogger(name)
    if not any(isinstance(known, _Printable) for known in logger.filters):
        logger.addFilter(_Printable())
    return logger


def silence(*names: str) -> None:
    """Keep packages out of the log: what they write, such as addresses with keys in them, was not made harmless."""
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class _Printable(logging.Filter):
    """Makes records printable: the message is ours and may have lines, its arguments may not."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_shown(argument) for argument in record.args)
        record.msg = lines(str(record.msg))
        if record.exc_info:
            # Indented, so that a line break in an exception's text begins no line of the log.
            told = lines("".join(traceback.format_exception(*record.exc_info))).rstrip("\n")
            record.msg, record.args = f"{record.getMessage()}\n  " + told.replace("\n", "\n  "), ()
            record.exc_info = None
        return True


def _shown(argument: object) -> object:
    return argument if isinstance(argument, int | float) else one_line(str(argument))


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    return _NAMED.get(char) or (f"\\x{ord(char):02x}" if char < " " else f"\\u{ord(char):04x}")
