"""Tools that run one command line: models call them by other names, and give the command in other forms."""

import re
import shlex

from responses_gateway.protocol.json import JsonObject, dumps_text, loads
from responses_gateway.protocol.json_scanner import Part
from responses_gateway.translate.tools.arguments import ArgumentStream

NAMES = frozenset({"bash", "container.exec", "exec_command", "run_shell_command", "sh", "shell", "shell_command"})
"""What such tools are called by one client or another."""

_FIELDS = ("cmd", "command")
_SHELLS = frozenset({"bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh", "/usr/bin/bash"})
_START = re.compile(r'\s*\{\s*"(\w{1,40})"\s*:\s*(\S)')
_MAY_START = re.compile(r'\s*(?:\{\s*(?:"\w{0,40}(?:"\s*(?::\s*)?)?)?)?\Z')


def command_field(name: str, schema: JsonObject) -> str | None:
    """The argument that holds the command line, of a function that runs one; None for any other function."""
    properties = schema.get("properties")
    if name not in NAMES or not isinstance(properties, dict):
        return None
    found = [field for field in _FIELDS if field in properties]
    declared = properties[found[0]] if len(found) == 1 else None
    return found[0] if isinstance(declared, dict) and declared.get("type") == "string" else None


_LONGEST_START = 200
"""Characters in which the first name of the arguments has to come; others stream through as they are."""


class CommandArguments(ArgumentStream):
    """The arguments of one such call. Those that begin right stream through; others are held to their end."""

    def __init__(self, field: str, schema: JsonObject) -> None:
        super().__init__(schema, whole_numbers=True)
        self._field = field
        self._whole_schema = schema
        self._waiting: list[str] | None = []
        self._other: list[str] | None = None

    def feed(self, text: str) -> str:
        if self._other is not None:
            self._hold(text)
            return ""
        if self._waiting is None:
            return super().feed(text)
        self._waiting.append(text)
        start = "".join(self._waiting)
        found = _START.match(start[:_LONGEST_START])
        if found is None and len(start) < _LONGEST_START and _MAY_START.match(start):
            self._waiting = [start]
            return ""
        self._waiting = None
        if found is None or (found[1], found[2]) == (self._field, '"'):
            return super().feed(start)
        self._other = []
        self._hold(start)
        return ""

    def _hold(self, text: str) -> None:
        assert self._other is not None  # noqa: S101 (only called while text is held)
        for part, piece, _ in self._scanner.feed(text):
            (self._rest if part is Part.REST else self._other).append(piece)

    def finish(self) -> str:
        if self._other is None:
            waiting, self._waiting = "".join(self._waiting or ()), None
            return super().feed(waiting) + super().finish()
        text = "".join(self._other)
        stream = ArgumentStream(self._whole_schema, whole_numbers=True)
        arguments = stream.feed(self._repaired(text)) + stream.finish()
        self.repairs += stream.repairs
        return arguments

    def _repaired(self, text: str) -> str:
        try:
            arguments = loads(text)
        except (ValueError, RecursionError):
            return text
        if not isinstance(arguments, dict):
            return text
        given = [field for field in _FIELDS if field in arguments]
        line = command_line(arguments[given[0]]) if len(given) == 1 else None
        if line is None or (given[0] == self._field and arguments[given[0]] == line):
            return text
        self.repairs.append(f"{given[0]} taken for the command line {self._field}")
        return dumps_text(
            {self._field if name == given[0] else name: value for name, value in arguments.items()}
            | {self._field: line}
        )


def command_line(command: object) -> str | None:
    """The one command line that `command` stands for: a string, or a list of a program and its arguments."""
    if isinstance(command, str):
        return command
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        return None
    if len(command) == 3 and command[0] in _SHELLS and command[1] in ("-c", "-lc"):
        return str(command[2])
    return command[0] if len(command) == 1 else shlex.join(command)
