"""The changes of one token that there are, and a random sample of them.

What would change nothing to be seen from outside is left alone: docstrings and sentences for people, log calls,
annotations, `__repr__`, decorators, limits of size and time.
"""

import ast
import difflib
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("addon", "responses_gateway")

COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
ARITHMETIC = {ast.Add: (r"\+", "-"), ast.Sub: ("-", "+"), ast.Mult: (r"\*", "+"), ast.FloorDiv: ("//", "*")}
ORDERLESS = {"isinstance", "issubclass", "max", "min", "cast", "getattr", "hasattr", "setattr", "suppress"}
LOGGING = re.compile(r"(^|\.)_?(log|logger|warn|warning|info|debug|ledger\.\w+|Literal|NewType|TypeVar|TypeAdapter)$")
FOR_PEOPLE = {"message", "description", "help", "title", "name", "daemon", "encoding", "stacklevel", "maxsize"}
LARGE = 1000
"""Larger numbers are limits of size, or milliseconds in a second."""


@dataclass(frozen=True)
class Mutant:
    """`source[start:end]` of a file (bytes) replaced; `lines` is the statement's first and last line."""

    path: str
    line: int
    start: int
    end: int
    text: str
    lines: tuple[int, int]

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


class Mutator(ast.NodeVisitor):
    """Finds all mutants of one file."""

    def __init__(self, path: str, source: bytes) -> None:
        self.mutants: list[Mutant] = []
        self._path, self._source = path, source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._lines = (1, 1)
        self._depth = 0
        self.visit(ast.parse(source))

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None) or getattr(node, "cases", None)
            last = node.end_lineno or node.lineno
            if body:
                first = body[0].pattern if isinstance(body[0], ast.match_case) else body[0]
                last = max(node.lineno, first.lineno - 1)
            self._lines = (node.lineno, last)
        super().visit(node)

    def visit_body(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                self.visit(statement)

    def visit_Module(self, node: ast.Module) -> None:
        self.visit_body(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if not any(ast.unparse(base) in ("Protocol", "TypedDict") for base in node.bases):
            self.visit_body(node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if node.name != "__repr__":
            for default in [*node.args.defaults, *(value for value in node.args.kw_defaults if value)]:
                self.visit(default)
            self._depth += 1
            self.visit_body(node.body)
            self._depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_match_case(self, node: ast.match_case) -> None:
        self._lines = node.pattern.lineno, max(node.pattern.lineno, node.body[0].lineno - 1)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._lines = node.lineno, max(node.lineno, node.body[0].lineno - 1)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None: ...

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None: ...

    def visit_TypeAlias(self, node: ast.TypeAlias) -> None: ...

    def visit_Assert(self, node: ast.Assert) -> None: ...

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None and not self._is_limit(node.target, node.value):
            self._remove(node, node.target)
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if not self._is_limit(node.targets[0], node.value):
            self._remove(node, node.targets[0])
            self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._put(node, "pass")
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not self._is_for_people(node.value):
            self._put(node, "pass")
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._put(node, "pass")
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        self._put(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._put(node, "pass")

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            gives = any(isinstance(part, ast.Yield | ast.YieldFrom) for part in ast.walk(node.value))
            if not gives and not (isinstance(node.value, ast.Constant) and not node.value.value):
                self._put(node.value, "None")
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        if self._is_for_people(node):
            return
        name = ast.unparse(node.func).rpartition(".")[2]
        if len(node.args) > 1 and name not in ORDERLESS:
            first, second = node.args[:2]
            texts = self._text(first), self._text(second)
            if not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred) and texts[0] != texts[1]:
                between = self._source[self._end(first) : self._start(second)].decode()
                self._add(first, self._start(first), self._end(second), texts[1] + between + texts[0])
        self.visit(node.func)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg not in FOR_PEOPLE:
                self.visit(keyword.value)

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self._swap_operator(left, right, *COMPARISONS[type(operator)])
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        names = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._swap_operator(left, right, *names)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC:
            self._swap_operator(node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._add(node, self._start(node), self._start(node) + len("not"), "")
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.visit(part.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self._put(node, str(not node.value))
            case int() if node.value < LARGE:
                self._put(node, str(node.value + 1))
            case str() if not re.search(r"\w\s+\w", node.value):
                self._put(node, repr("~" + node.value))
            case bytes():
                self._put(node, repr(b"~" + node.value))
            case _:
                pass

    def _is_limit(self, target: ast.expr, value: ast.expr) -> bool:
        """Whether a constant of the module or class is a number, or a name of the type system."""
        numbers = all(
            isinstance(part, ast.BinOp | ast.operator | ast.UnaryOp | ast.unaryop)
            or (isinstance(part, ast.Constant) and type(part.value) in (int, float))
            for part in ast.walk(value)
        )
        return self._depth == 0 and (numbers or ast.unparse(target) in ("__all__", "__slots__"))

    def _is_for_people(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and LOGGING.search(ast.unparse(node.func)) is not None

    def _remove(self, node: ast.stmt, target: ast.expr) -> None:
        """Leaves out what sets an attribute or an entry; without a local name, nearly nothing would run."""
        if isinstance(target, ast.Attribute | ast.Subscript):
            self._put(node, "pass")

    def _swap_operator(self, left: ast.expr, right: ast.expr, pattern: str, new: str) -> None:
        start, end = self._end(left), self._start(right)
        found = re.search(pattern, self._source[start:end].decode())
        if found:
            self._add(left, start + found.start(), start + found.end(), new)

    def _put(self, node: ast.stmt | ast.expr, text: str) -> None:
        self._add(node, self._start(node), self._end(node), text)

    def _add(self, node: ast.stmt | ast.expr, start: int, end: int, text: str) -> None:
        self.mutants.append(Mutant(self._path, node.lineno, start, end, text, self._lines))

    def _start(self, node: ast.stmt | ast.expr) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.stmt | ast.expr) -> int:
        return self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def _text(self, node: ast.expr) -> str:
        return self._source[self._start(node) : self._end(node)].decode()


def all_mutants(folders: list[str]) -> list[Mutant]:
    paths = sorted(path for folder in folders for path in (ROOT / PACKAGE / folder).rglob("*.py"))
    return [mutant for path in paths for mutant in Mutator(str(path.relative_to(ROOT)), path.read_bytes()).mutants]


def sample(mutants: list[Mutant], seed: int, count: int) -> list[Mutant]:
    """Lines are drawn, then one mutant of each, so that a long expression is not drawn more often."""
    lines: defaultdict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        lines[mutant.path, mutant.line].append(mutant)
    draw = random.Random(seed)  # noqa: S311
    return [draw.choice(lines[place]) for place in draw.sample(sorted(lines), min(count, len(lines)))]


def change(mutant: Mutant, source: bytes) -> str:
    before, after = (text.decode().splitlines() for text in (source, mutant.apply(source)))
    lines = list(difflib.unified_diff(before, after, lineterm="", n=0))[3:]
    return "\n".join(f"    {line}" for line in lines)
