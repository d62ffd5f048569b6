"""Gives a function of the running process the code of a mutant, so that nothing has to be imported again."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType

from mutation.mutants import Mutant


def replace_code(mutant: Mutant, known: Mapping[tuple[str, str, int], list[FunctionType]]) -> bool:
    """Give the function that a mutant is in its new code, wherever it is known by now; whether there is one."""
    source = Path(mutant.path).read_bytes()
    path = str(Path.cwd() / mutant.path)
    old = next((one for one in functions(compile(source, path, "exec")) if lies_in(mutant, one)), None)
    if old is None:
        return False
    place = place_of(old)
    new = [one for one in functions(compile(mutant.apply(source), path, "exec")) if place_of(one) == place]
    if place not in known or not new or new[0].co_freevars != old.co_freevars:
        return False
    # Functions within it that were made at import are there already.
    for code in (new[0], *functions_within(new[0])):
        for function in known.get(place_of(code), ()):
            if function.__code__.co_freevars == code.co_freevars:
                function.__code__ = code
    return True


def place_of(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def functions(code: CodeType) -> Iterator[CodeType]:
    """The functions of a module and the methods of its classes; not what is made within them."""
    for part in code.co_consts:
        if isinstance(part, CodeType) and part.co_flags & inspect.CO_OPTIMIZED:
            yield part
        elif isinstance(part, CodeType):
            yield from functions(part)


def lies_in(mutant: Mutant, code: CodeType) -> bool:
    """Whether a mutant is in the body of a function, not in its head."""
    lines = {line for _, _, line in code.co_lines() if line is not None and line > code.co_firstlineno}
    lines |= {line for part in functions_within(code) for _, _, line in part.co_lines() if line is not None}
    return bool(lines) and min(lines) <= mutant.lines[0] <= max(lines)


def functions_within(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from functions_within(part)
