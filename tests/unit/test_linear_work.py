"""What reads text that a model, an upstream or a client chose costs in proportion to its length, whatever it says.

Every compiled regular expression of the package is found and attacked; one that is not linear when it is searched for
may still be used where a place is given, so that each is attacked by the methods that its module calls.
"""

import ast
import dataclasses
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import responses_gateway
from responses_gateway.hosted.page_text import _tidy
from responses_gateway.protocol.body import BodyReader
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json_fields import field_of, with_fields
from responses_gateway.protocol.json_scanner import ObjectScanner, StringDecoder
from responses_gateway.protocol.sse import SseDecoder
from responses_gateway.security.redaction import ErrorRedactor, Redactor
from responses_gateway.translate.answer.citations import citations
from responses_gateway.translate.answer.think_splitter import ThinkSplitter
from responses_gateway.translate.repair.request_healing import heal
from responses_gateway.translate.repair.structured_output import check
from responses_gateway.translate.repair.text_call_parser import TextCallParser
from responses_gateway.translate.repair.upstream_errors import upstream_error
from responses_gateway.translate.tools.arguments import ArgumentStream, InputStream
from responses_gateway.translate.tools.command_tools import CommandArguments
from responses_gateway.translate.tools.patch import PatchRepairer
from responses_gateway.translate.tools.patch_arguments import PatchArguments
from responses_gateway.turn.native_stream import NativeStream
from unit.machine import RUN, Json, call, delta, machine
from unit.work import SIZES, grows_linearly
from unit.worst_inputs import WorstInputs

ROOT = Path(responses_gateway.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

METHODS: dict[str, Callable[[re.Pattern[Any], Any], object]] = {
    "match": lambda pattern, text: pattern.match(text),
    "fullmatch": lambda pattern, text: pattern.fullmatch(text),
    "search": lambda pattern, text: pattern.search(text),
    "finditer": lambda pattern, text: sum(1 for _ in pattern.finditer(text)),
}
SAME_AS = {"sub": "finditer", "subn": "finditer", "findall": "finditer", "split": "finditer"}


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(responses_gateway.__path__, "responses_gateway."):
        is_missing = found.name.endswith("mcp.sdk") and find_spec("mcp") is None
        if not (found.name.endswith("__main__") or is_missing):
            yield importlib.import_module(found.name)


def patterns_in(value: Any, seen: set[int]) -> Iterator[re.Pattern[Any]]:
    """The expressions in a value of the package, and in what it holds."""
    if isinstance(value, re.Pattern):
        yield value
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        inner: list[Any] = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    elif isinstance(value, type) and value.__module__.startswith("responses_gateway"):
        inner = list(vars(value).values())
    else:
        return
    for each in inner:
        yield from patterns_in(each, seen)


@cache
def methods_called(module: ModuleType) -> dict[str, set[str]]:
    """Which methods of a pattern are called on each name in a module."""
    called: defaultdict[str, set[str]] = defaultdict(set)
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            called[node.value.id].add(SAME_AS.get(node.attr, node.attr))
        elif isinstance(node, ast.Call):  # handed to a helper, which matches it at a place
            called["match"] |= {argument.id for argument in node.args if isinstance(argument, ast.Name)}
    handed = called.pop("match", set())
    return {
        name: (called[name] | ({"match"} if name in handed else set())) & METHODS.keys() for name in {*called, *handed}
    }


def attacked() -> list[tuple[str, re.Pattern[Any], frozenset[str]]]:
    """Each pattern of the package, and the methods that are called; all of them where that cannot be told."""
    names: dict[tuple[Any, int], str] = {}
    patterns: dict[tuple[Any, int], re.Pattern[Any]] = {}
    methods: defaultdict[tuple[Any, int], set[str]] = defaultdict(set)
    for module in modules():
        for attribute, value in vars(module).items():
            for pattern in patterns_in(value, set()):
                key = pattern.pattern, pattern.flags
                names.setdefault(key, f"{module.__name__.removeprefix('responses_gateway.')}.{attribute}")
                patterns[key] = pattern
                methods[key] |= methods_called(module).get(attribute, set()) if value is pattern else METHODS.keys()
    found = [(names[key], pattern, frozenset(methods[key] or METHODS)) for key, pattern in patterns.items()]
    return sorted(found, key=lambda one: one[0])


ATTACKED = attacked()


@pytest.mark.parametrize(("name", "pattern", "methods"), ATTACKED, ids=[one[0] for one in ATTACKED])
def test_every_regular_expression_is_linear(name: str, pattern: re.Pattern[Any], methods: frozenset[str]) -> None:
    assert [(name, worst) for method in sorted(methods) if (worst := not_linear(pattern, METHODS[method]))] == []


def not_linear(pattern: re.Pattern[Any], apply: Callable[[re.Pattern[Any], Any], object]) -> str:
    """The beginning of the first input on which a method of the pattern is not linear; nothing if there is none."""
    inputs = WorstInputs(pattern)
    texts = {size: list(inputs.make(size)) for size in SIZES}
    for number, shown in enumerate(texts[SIZES[0]]):
        if not grows_linearly(lambda size, at=number: partial(apply, pattern, texts[size][at])):  # type: ignore[misc]
            return repr(shown[:100])
    return ""


def test_no_regular_expression_escapes_this_test() -> None:
    hidden = [
        f"{source.relative_to(ROOT)}:{node.lineno}"
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr not in ("compile", "escape")
    ]
    assert hidden == []


@pytest.mark.parametrize("quadratic", [r"\s*\n", r"\A```\s*\n(.*?)\n?\s*```\Z", r'"(?:[^"\\]++|\\.)*+"'])
def test_the_net_catches_what_is_not_linear(quadratic: str) -> None:
    pattern = re.compile(quadratic, re.DOTALL)
    assert not_linear(pattern, METHODS["finditer"])


def scanners() -> set[str]:
    """The classes of the package that take a text in pieces."""
    return {
        value.__name__
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and callable(getattr(value, "feed", None))
    }


NOT_SCANNERS = {
    "ParallelCalls": "ObjectScanner",
    "CallArguments": "abstract",
    "CallItem": "abstract; what its kinds feed is here",
    "ObjectCallItem": "abstract",
    "FunctionCallItem": "ArgumentStream and PatchArguments",
    "CustomCallItem": "InputStream and PatchRepairer",
    "ToolSearchCallItem": "ArgumentStream",
    "LocalShellCallItem": "ArgumentStream",
    "ShellCallItem": "ArgumentStream",
    "ApplyPatchCallItem": "ArgumentStream",
    "ComputerCallItem": "ArgumentStream",
    "HostedCallItem": "ArgumentStream",
    "HostedQuestionItem": "ArgumentStream",
    "_PassThrough": "PatchRepairer",
    "AnswerReader": "BodyReader",
    "Exchange": "hands on to what is here",
    "AnswerRounds": "hands on to what is here",
    "CompactionExchange": "Exchange",
    "ServedTurn": "Exchange",
    "Turn": "abstract",
    "GuardedTurn": "hands on to the turn",
    "_Crashed": "takes nothing",
    "NativeTurn": "NativeStream",
    "RelayTurn": "passes on what it gets",
}
"""Classes with the method `feed` that need no attack of their own, and why."""


def fed(make: Callable[[], Any], begin: str, piece: str, end: str = "") -> Callable[[int], Callable[[], object]]:
    """A scanner that gets `piece` as often as the size says, one at a time."""

    def prepared(size: int) -> Callable[[], object]:
        def work() -> None:
            scanner = make()
            binary = type(scanner) in (BodyReader, SseDecoder, ErrorRedactor, NativeStream)
            for text in (begin, *[piece] * size, end):
                drained = scanner.feed(text.encode() if binary else text)
                if drained is not None and not isinstance(drained, str | list | bytes):
                    list(drained)

        return work

    return prepared


def error_redactor() -> ErrorRedactor:
    redactor = Redactor()
    redactor.conceal(["secret-secret-secret"])
    return ErrorRedactor(redactor)


SCHEMA = {"type": "object", "properties": {"n": {"type": "array", "items": {"type": "integer"}}}}
ATTACKS: list[tuple[str, Callable[[], Any], str, list[str]]] = [
    ("SseDecoder", SseDecoder, "", ["\n", "\r", "\r\n", "data: x\n", ":\n", "x"]),
    ("BodyReader", lambda: BodyReader(""), "", [" ", "\n", "\n\n", "x"]),
    ("BodyReader", lambda: BodyReader(""), "{", [" ", '{"a":1}']),
    ("NativeStream", lambda: NativeStream("", error_redactor()), "", ["\n", "\r", "data: x\n\n", "x", "data: {}\n"]),
    ("ErrorRedactor", error_redactor, "", ["\n", "x", "secret-", '"error"']),
    ("ThinkSplitter", ThinkSplitter, "", [" ", "\n", "<"]),
    ("ThinkSplitter", ThinkSplitter, "<think>", ["\n", "<", "</", "</think", "x"]),
    (
        "TextCallParser",
        lambda: TextCallParser(["f"]),
        "",
        ["<", "`", "~", "[", "<tool_call>", "<tool_call>{", "[TOOL_CALLS]["],
    ),
    ("TextCallParser", lambda: TextCallParser(["f"]), "<tool_call>{", ["{", '"', " ", "<tool_call>", '{"a":1},']),
    (
        "TextCallParser",
        lambda: TextCallParser(["f"]),
        "<function=f>",
        ["<parameter=a>", "\n", "<parameter=a>x</parameter>"],
    ),
    (
        "TextCallParser",
        lambda: TextCallParser(["f"]),
        "<function=f><parameter=a>",
        ["</parameter>", "<", "x", "</parameter>x"],
    ),
    ("TextCallParser", lambda: TextCallParser(["f"]), "<|channel|>analysis<|message|>", ["<", "<|", "x"]),
    ("StringDecoder", StringDecoder, '"', ["\\", "\\u", "\\ud83d", "x", "\\ud83d\\"]),
    ("ObjectScanner", ObjectScanner, "", [" ", '"']),
    ("ObjectScanner", ObjectScanner, '{"a":', [" ", "[", '"', "\\", "1"]),
    ("ArgumentStream", lambda: ArgumentStream(SCHEMA), "", [" ", "x"]),
    ("ArgumentStream", lambda: ArgumentStream(SCHEMA), '{"n":', ["[", '"', "1", "\\"]),
    ("ArgumentStream", lambda: ArgumentStream(SCHEMA), '{"', ["x", "\\", '":1,"']),
    ("ArgumentStream", lambda: ArgumentStream(SCHEMA), '{"n":[', ['"1",', "1.0,", "[],"]),
    ("CommandArguments", lambda: CommandArguments("cmd", SCHEMA), "", [" ", "{"]),
    ("CommandArguments", lambda: CommandArguments("cmd", SCHEMA), "{", [" ", '"', "x"]),
    ("CommandArguments", lambda: CommandArguments("cmd", SCHEMA), '{"command":[', ['"a",', " ", "["]),
    ("InputStream", InputStream, "", [" ", '"', "x"]),
    ("InputStream", InputStream, '{"input":"', ["x", "\\", "\\u", '","a":"']),
    ("InputStream", InputStream, '{"a":"', ["x", '","a":"']),
    ("PatchArguments", lambda: PatchArguments("input"), '{"input":"', ["x", "\\n", "*** End Patch\\n", '\\"']),
    ("PatchArguments", lambda: PatchArguments("input"), '{"input":"x"}', [" ", "{", "x"]),
    ("PatchRepairer", PatchRepairer, "", ["\n", " ", "*", "*** Begin Patch"]),
    ("PatchRepairer", PatchRepairer, "*** Begin Patch\n*** ", ["\n", "\n*** E", "*** End Patc", "x"]),
    ("PatchRepairer", PatchRepairer, "*** Begin Patch\n*** Add File: a\n*** End Patch", ["\n", "x"]),
]
CASES = [(name, make, begin, piece) for name, make, begin, pieces in ATTACKS for piece in pieces]


def test_every_scanner_is_attacked() -> None:
    assert scanners() == {name for name, *_ in ATTACKS} | NOT_SCANNERS.keys()


@pytest.mark.parametrize(("name", "make", "begin", "piece"), CASES)
def test_every_scanner_is_linear(name: str, make: Callable[[], Any], begin: str, piece: str) -> None:
    assert grows_linearly(fed(make, begin, piece))


WHOLE: dict[str, tuple[Callable[[str], object], list[str]]] = {
    "a mended patch": (
        lambda text: joined_patch(text),
        ["`", "```\n", "\n", "~", " ", '"', "\\n", "*** Begin Patch\n", "<<E\nE ", "E\n", "x"],
    ),
    "an answer in JSON": (lambda text: check(text, {}), ["\n", " ", "`", "```\n", "```json\n", "[", "{"]),
    "an upstream's error": (lambda text: error_of(text), ["<", "<script", "<head>", "</script", "a", "1", "in 1", " "]),
    "a field of a request": (
        lambda text: (field_of(text.encode(), "model"), with_fields(b"{" + text.encode(), {"model": "m"})),
        ["{", '"', "\\", '"a":1,', '"model":1,', " ", "["],
    ),
    "citations": (lambda text: citations(text, []), ["[", "[a](https://x", "https://", "(", "【1", "[1]", " "]),
    "a page": (lambda text: _tidy(text), [" ", "\n", " \n", "\t\r", "x"]),
    "a healed refusal": (
        lambda text: heal({"messages": [], "tools": [1]}, text),
        ["not ", "reasoning_content", "key: "],
    ),
}


@pytest.mark.parametrize(
    ("name", "begin", "piece"),
    [
        (name, begin, piece)
        for name, (_, pieces) in WHOLE.items()
        for begin in ("", "```\n", "<html>", "*** Begin Patch\n", "<<E\n", "[a](https://")
        for piece in pieces
    ],
)
def test_what_reads_a_whole_text_is_linear(name: str, begin: str, piece: str) -> None:
    read, _ = WHOLE[name]

    def prepared(size: int) -> Callable[[], object]:
        text = begin + piece * (size // len(piece)) + "!"
        return lambda: read(text)

    assert grows_linearly(prepared)


def joined_patch(text: str) -> str:
    repairer = PatchRepairer()
    return repairer.feed(text) + repairer.finish(closed=True)


def error_of(text: str) -> GatewayError:
    return upstream_error(400, {}, text.encode(), upstream="u")


@pytest.mark.parametrize(
    "chunk",
    [
        delta(content=" "),
        delta(content="\n"),
        delta(reasoning_content=" "),
        delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "text": "x" * 10}]),
        call(0, "run", " "),
        call(0, "n", None),
        call(None, "run", "{}"),
        call(None, "run", None, "c"),
    ],
    ids=lambda chunk: str(chunk["choices"][0]["delta"])[:50],
)
@pytest.mark.parametrize("markup", [False, True])
def test_an_endless_answer_is_linear(chunk: Json, markup: bool) -> None:
    def prepared(size: int) -> Callable[[], object]:
        def work() -> None:
            translator = machine(RUN, heal_markup=markup)
            translator.start()
            for _ in range(size):
                translator.chunk(chunk)
            translator.finish(done=True)

        return work

    assert grows_linearly(prepared)
