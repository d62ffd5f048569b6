"""Runs tests on mutants, and finds the mutants that survive them.

A mutant of a function's body runs in a fork that has collected everything; what runs at import is imported afresh.
"""

import gc
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from types import FunctionType

import pytest

from mutation.forks import enter, in_fork
from mutation.mutants import PACKAGE, ROOT, Mutant
from mutation.record import Record
from mutation.replacing import place_of, replace_code


def survivors(mutants: list[tuple[int, Mutant]], tree: Path, record: Record) -> set[int]:
    """The numbers of the mutants that no test notices."""
    seen = [(number, mutant) for number, mutant in mutants if record.of(mutant)]
    made = tree / "quick.json"
    in_fork(run_quick, tree, seen, record, made)
    found = json.loads(made.read_text())
    imported = {number for number, mutant in seen if number in found["imported"] and survives(mutant, tree, record)}
    return {number for number, mutant in mutants if not record.of(mutant)} | set(found["survives"]) | imported


def survives(mutant: Mutant, tree: Path, record: Record) -> bool:
    """Whether a mutant that is imported afresh survives."""
    file, source = tree / mutant.path, (ROOT / mutant.path).read_bytes()
    for cached in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        cached.unlink()
    file.write_bytes(mutant.apply(source))
    try:
        return in_fork(run_tests, tree, record.of(mutant), limit=record.limit(mutant)) == 0
    finally:
        file.write_bytes(source)


class Quick:
    """Runs mutants of function bodies, each in a fork that has collected all tests, with the function's code replaced.

    Writes the numbers of those that survive, and of those that have to be imported afresh.
    """

    def __init__(self, mutants: list[tuple[int, Mutant]], record: Record, into: Path) -> None:
        self._mutants, self._record, self._into = mutants, record, into
        self._failed = False
        self._known: defaultdict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for known in gc.get_objects():
            if isinstance(known, FunctionType) and known.__code__.co_filename.startswith(str(Path.cwd() / PACKAGE)):
                self._known[place_of(known.__code__)].append(known)
        # A fork shares what nobody touches.
        gc.freeze()
        gc.disable()
        found: dict[str, list[int]] = {"survives": [], "imported": []}
        for number, mutant in self._mutants:
            tests = [items[test] for test in self._record.of(mutant) if test in items]
            match in_fork(self._run, mutant, tests, limit=self._record.limit(mutant)):
                case 0:
                    found["survives"].append(number)
                case Quick.CAUGHT | None:
                    pass
                case _:
                    found["imported"].append(number)
        self._into.write_text(json.dumps(found))
        return True

    CAUGHT = 3
    """The exit code when a test fails; 1 is a fault in here."""

    def _run(self, mutant: Mutant, tests: list[pytest.Item]) -> None:
        os.setsid()
        if not replace_code(mutant, self._known):
            os._exit(4)
        for item, following in zip(tests, [*tests[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed:
                os._exit(self.CAUGHT)
        os._exit(0)


def run_quick(tree: Path, mutants: list[tuple[int, Mutant]], record: Record, into: Path) -> None:
    enter(tree, tree / "quick.log")
    files = sorted({test.partition("::")[0] for _, mutant in mutants for test in record.of(mutant)})
    quick = Quick(mutants, record, into)
    pytest.main([*files, "-q", "-p", "no:cacheprovider", f"--basetemp={tree / 'tmp'}"], plugins=[quick])


class Chosen:
    """Runs these tests alone, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: position for position, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self._order), key=lambda i: self._order[i.nodeid])


def run_tests(tree: Path, tests: list[str]) -> None:
    enter(tree, tree / "mutant.log")
    sys.dont_write_bytecode = True
    files = sorted({test.partition("::")[0] for test in tests})
    code = pytest.main([*files, "-x", "-q", "-p", "no:cacheprovider"], plugins=[Chosen(tests)])
    os._exit(int(code))
