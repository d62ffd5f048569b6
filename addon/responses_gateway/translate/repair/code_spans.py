"""Finds code in streamed Markdown, because markup inside of code is text."""

import re

_TOKEN = re.compile(r"`+|~+|\n|[<\[]")
_PLAIN = re.compile(r"[`~<\[]")
_NOT_BLANK = re.compile(r"[^\s>]")
_SHORTEST_FENCE = 3


class CodeSpans:
    """Follows fenced blocks and inline code over a text that arrives in pieces.

    A fence is closed as CommonMark says (a line of its own, the same character, at least as long); a run of three or
    more backticks opens one anywhere in a line, because models write `Here: ```json`. Inline code ends with its line.
    """

    def __init__(self) -> None:
        self._fence = ("", 0)
        """The fence that is open: its character and length."""
        self._fence_line = False
        """Still on the line that opened the fence, so that the same run would make it inline code."""
        self._closing = False
        """The line began with a closing fence and nothing else came since."""
        self._inline = 0
        """How many backticks opened the inline code; 0 outside of it."""
        self._blank = True
        """Nothing but white space (and quote marks) in this line so far."""
        self._run = ("", 0)
        """The run of backticks or tildes that the text ended with, and its length: it may go on."""

    def find_markup(self, text: str, pos: int) -> int:
        """Read on from `pos` to the next `<` or `[` that is not code; returns its index, or the text's length."""
        pos = self._continue_run(text, pos)
        while token := _TOKEN.search(text, pos):
            self._see_text(text, pos, token.start())
            pos = token.end()
            mark = token[0]
            if mark == "\n":
                self._end_line()
            elif mark in "<[":
                if not self._fence[1] and not self._inline:
                    return token.start()
                self._see_text(mark, 0, 1)
            elif pos == len(text):
                self._run = (mark[0], len(mark))
            else:
                self._end_run(mark[0], len(mark))
        self._see_text(text, pos, len(text))
        return len(text)

    def skip(self, text: str) -> None:
        """Read `text` as plain text, whatever is in it."""
        pos = 0
        while (pos := self.find_markup(text, pos)) < len(text):
            self.see_mark()
            pos += 1

    def see_mark(self) -> None:
        """The `<` or `[` that was found is plain text."""
        self._blank = self._closing = False

    def is_plain(self, text: str) -> bool:
        """Whether `text` goes on outside of code and has nothing to look at; if so, it has been read."""
        if self._fence[1] or self._inline or self._run[1] or _PLAIN.search(text):
            return False
        line = text.rfind("\n")
        self._blank = (self._blank or line >= 0) and not _NOT_BLANK.search(text, line + 1)
        return True

    def _see_text(self, text: str, start: int, end: int) -> None:
        if (self._blank or self._closing) and _NOT_BLANK.search(text, start, end):
            self._blank = self._closing = False

    def _end_line(self) -> None:
        if self._closing:
            self._fence = ("", 0)
        self._closing = self._fence_line = False
        self._inline = 0
        self._blank = True

    def _continue_run(self, text: str, pos: int) -> int:
        character, length = self._run
        if not length or pos == len(text):
            return pos
        rest = text[pos:] if pos else text
        more = len(rest) - len(rest.lstrip(character))
        if more == len(rest):
            self._run = (character, length + more)
        else:
            self._run = ("", 0)
            self._end_run(character, length + more)
        return pos + more

    def _end_run(self, character: str, length: int) -> None:
        blank, self._blank, self._closing = self._blank, False, False
        fence, fence_length = self._fence
        if fence_length:
            if character == fence and length >= fence_length:
                if self._fence_line and character == "`":
                    self._fence = ("", 0)
                self._closing = blank and not self._fence_line
        elif self._inline:
            self._inline = 0 if (character, length) == ("`", self._inline) else self._inline
        elif length >= _SHORTEST_FENCE and (blank or character == "`"):
            self._fence, self._fence_line = (character, length), True
        elif character == "`":
            self._inline = length
