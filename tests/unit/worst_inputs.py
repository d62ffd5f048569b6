"""Texts that make a regular expression work as hard as it can, made from the expression itself."""

import re
from collections.abc import Iterator
from itertools import islice, product
from typing import Any, cast

_parser = cast("Any", re)._parser
_constants = cast("Any", re)._constants

ENDLESS = 50
"""Repeats that may go on for longer than this are worth an attack."""

_ORDINARY = " \n\tab1._"
_ENDINGS = ("", "\0", "\n!")
_CHOICES = 3
"""Characters of a class, and alternatives of a branch, that are tried."""


class WorstInputs:
    """Each repeat of the expression is run up to and pumped, once or from as many starts as possible, and let fail."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self._binary = isinstance(pattern.pattern, bytes)
        text = pattern.pattern.decode("latin-1") if self._binary else pattern.pattern
        flags = pattern.flags & ~re.UNICODE if self._binary else pattern.flags
        self._tree = _parser.parse(pattern.pattern if self._binary else text, flags)
        self._dot_all = bool(flags & re.DOTALL)
        self._alphabet = "".join(dict.fromkeys([*self._literals(self._tree), *_ORDINARY]))
        self._groups: dict[int, str] = {}

    def make(self, size: int) -> Iterator[Any]:
        """Inputs of about `size` characters or bytes."""
        attacks: list[str] = []
        whole = self._sample(self._tree)
        for start, pump in [("", whole), ("", whole[:-1]), *self._pumps(self._tree, "")]:
            if not pump:
                continue
            for ending in _ENDINGS:
                attacks.append(start + pump * (size // len(pump)) + ending)
            if start:
                once = start + pump
                attacks.append(once * (size // len(once)) + "\0")
                attacks.append(start * (size // len(start)) + "\0")
        return iter([text.encode("latin-1", "replace") for text in attacks] if self._binary else attacks)

    def _pumps(self, tree: Any, before: str) -> Iterator[tuple[str, str]]:
        """What stands before an endless repeat, and one turn of it."""
        for op, argument in tree:
            match str(op):
                case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                    _, most, body = argument
                    if most > ENDLESS:
                        yield from ((before, turn) for turn in self._samples(body))
                    yield from self._pumps(body, before)
                case "SUBPATTERN":
                    yield from self._pumps(argument[3], before)
                case "BRANCH":
                    for branch in argument[1]:
                        yield from self._pumps(branch, before)
                case "ATOMIC_GROUP":
                    yield from self._pumps(argument, before)
            before += self._sample([(op, argument)])

    def _sample(self, tree: Any) -> str:
        return next(self._samples(tree), "")

    def _samples(self, tree: Any) -> Iterator[str]:
        """A few of the shortest texts that a part of the expression matches."""
        parts = [self._of_one(op, argument) for op, argument in tree]
        yield from map("".join, islice(product(*parts), 2 * _CHOICES))

    def _of_one(self, op: Any, argument: Any) -> list[str]:
        match str(op):
            case "LITERAL":
                return [chr(argument)]
            case "NOT_LITERAL" | "ANY" | "IN":
                return [each for each in self._alphabet if self._takes(op, argument, each)][:_CHOICES] or ["~"]
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, body = argument
                return [each * max(least, min(1, most)) for each in self._samples(body)] or [""]
            case "SUBPATTERN":
                samples = list(self._samples(argument[3]))[:_CHOICES] or [""]
                self._groups[argument[0]] = samples[0]
                return samples
            case "BRANCH":
                return [self._sample(branch) for branch in argument[1]][:_CHOICES]
            case "ATOMIC_GROUP":
                return list(self._samples(argument))[:_CHOICES]
            case "GROUPREF":
                return [self._groups.get(argument, "")]
        return [""]

    def _takes(self, op: Any, argument: Any, character: str) -> bool:
        match str(op):
            case "ANY":
                return self._dot_all or character != "\n"
            case "NOT_LITERAL":
                return ord(character) != argument
        negated, found = False, False
        for kind, value in argument:
            match str(kind):
                case "NEGATE":
                    negated = True
                case "LITERAL":
                    found = found or ord(character) == value
                case "RANGE":
                    found = found or value[0] <= ord(character) <= value[1]
                case "CATEGORY":
                    found = found or _in_category(str(value), character)
        return found != negated

    def _literals(self, tree: Any) -> Iterator[str]:
        for op, argument in tree:
            match str(op):
                case "LITERAL":
                    yield chr(argument)
                case "IN":
                    yield from (chr(value) for kind, value in argument if kind is _constants.LITERAL)
                case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                    yield from self._literals(argument[2])
                case "SUBPATTERN":
                    yield from self._literals(argument[3])
                case "BRANCH":
                    for branch in argument[1]:
                        yield from self._literals(branch)
                case "ATOMIC_GROUP":
                    yield from self._literals(argument)


def _in_category(name: str, character: str) -> bool:
    kind = name.removeprefix("CATEGORY_").removeprefix("NOT_")
    belongs = {
        "DIGIT": character.isdecimal(),
        "SPACE": character.isspace(),
        "WORD": character.isalnum() or character == "_",
    }[kind]
    return belongs != ("NOT_" in name)
