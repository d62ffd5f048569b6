"""Which test executes which line, from one run of all unit tests."""

import hashlib
import inspect
import itertools
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from mutation.forks import enter, in_fork
from mutation.mutants import PACKAGE, ROOT, Mutant


@dataclass
class Record:
    """Which tests execute which lines (by `path:line`), and how long each takes, in seconds."""

    tests: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    patience: float = float("inf")
    """Seconds of tests that a mutant gets at most."""

    @classmethod
    def read(cls, text: str) -> "Record":
        """What `text` made; tests are numbers there, because each is named a thousand times."""
        kept = json.loads(text)
        names: list[str] = kept["names"]
        return cls({place: [names[n] for n in numbers] for place, numbers in kept["tests"].items()}, kept["seconds"])

    def text(self) -> str:
        names = sorted({test for tests in self.tests.values() for test in tests})
        number = {name: position for position, name in enumerate(names)}
        tests = {place: [number[test] for test in tests] for place, tests in self.tests.items()}
        return json.dumps({"names": names, "tests": tests, "seconds": self.seconds})

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that execute the statement.

        Of a statement that runs at import: those that execute its module, or else one that imports it.
        """
        first, last = mutant.lines
        places = [f"{mutant.path}:{line}" for line in range(first, last + 1)]
        if any("import" in self.tests.get(place, []) for place in places):
            places = self._places_in({mutant.path}) or self._places_in(importers(mutant.path))
        tests = {test for place in places for test in self.tests.get(place, []) if test in self.seconds}
        near = Path(mutant.path).relative_to(PACKAGE).parts[0]
        ordered = sorted(tests, key=lambda test: (f"/{near}/" not in test, self.seconds[test]))
        ends = itertools.accumulate(self.seconds[test] for test in ordered)
        return [test for test, end in zip(ordered, ends, strict=True) if end <= self.patience]

    def _places_in(self, paths: set[str]) -> list[str]:
        """Where tests execute these files."""
        return [
            place
            for place, tests in self.tests.items()
            if place.rpartition(":")[0] in paths and any(test in self.seconds for test in tests)
        ]

    def limit(self, mutant: Mutant) -> float:
        """Seconds after which the tests of a mutant hang."""
        return 60 + 5 * sum(self.seconds[test] for test in self.of(mutant))


def importers(path: str) -> set[str]:
    """The files of the package that import this one."""
    module = path.removeprefix("addon/").removesuffix(".py").replace("/", ".")
    sources = (ROOT / PACKAGE).rglob("*.py")
    return {str(file.relative_to(ROOT)) for file in sources if re.search(rf"\b{re.escape(module)}\b", file.read_text())}


class Recorder:
    """Records as a plugin of pytest, with the interpreter's own line events; each line counts once a test."""

    def __init__(self) -> None:
        self.record = Record()
        self._lines: defaultdict[str, set[str]] = defaultdict(set)
        self._test = "import"
        self._package = str(Path.cwd() / PACKAGE)
        self._tool = sys.monitoring.COVERAGE_ID
        sys.monitoring.use_tool_id(self._tool, "mutate")
        sys.monitoring.register_callback(self._tool, sys.monitoring.events.LINE, self._line)
        sys.monitoring.set_events(self._tool, sys.monitoring.events.LINE)

    def _line(self, code: CodeType, line: int) -> Any:
        if code.co_filename.startswith(self._package):
            # Modules and classes have no local variables of their own.
            test = self._test if code.co_flags & inspect.CO_OPTIMIZED else "import"
            self._lines[f"{os.path.relpath(code.co_filename)}:{line}"].add(test)
        return sys.monitoring.DISABLE

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._test = item.nodeid
        sys.monitoring.restart_events()
        result = yield
        self._test = "between"
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.record.seconds[report.nodeid] = report.duration

    def pytest_sessionfinish(self) -> None:
        self.record.tests = {place: sorted(tests) for place, tests in self._lines.items()}


def record_tests(tree: Path, skipped: list[str], into: Path) -> None:
    enter(tree, tree / "record.log")
    recorder = Recorder()
    options = [f"--deselect={test}" for test in skipped]
    pytest.main(["tests/unit", "-q", "-p", "no:cacheprovider", *options], plugins=[recorder])
    into.write_text(recorder.record.text())


def known_tests(tree: Path, file: Path | None, skipped: list[str]) -> Record:
    """The record: from the file, if it is of the same package and tests; else made."""
    sources = sorted([*tree.glob("addon/**/*.py"), *tree.glob("tests/unit/**/*.py")])
    state = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    if file and file.exists():
        kept, _, text = file.read_text().partition("\n")
        if kept == state:
            return Record.read(text)
    made = tree / "record.json"
    in_fork(record_tests, tree, skipped, made)
    if file:
        file.write_text(f"{state}\n{made.read_text()}")
    return Record.read(made.read_text())
