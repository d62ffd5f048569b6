"""The gate for what reaches terminals and logs, and that nothing goes round it."""

import ast
import io
import json
import logging
from pathlib import Path

import pytest

import responses_gateway
from responses_gateway.command_line.raw_output import RawOutput
from responses_gateway.inspection.recording import summary
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.protocol.responses import parse_request
from responses_gateway.security.terminal import get_logger, lines, one_line, say

PACKAGE = Path(responses_gateway.__file__).parent
TITLE = "\x1b]0;owned\x07"
HOSTILE = [
    TITLE,
    "\x1b[2J",
    "\x9b2J",
    "a\rb",
    "\u202etxt.exe",
    "\u2066x",
    "a\u2028b",
    "\x7f",
    "\0",
    "\ud800",
    "\u200fx",
]
FORGED = "m\n[12:00:00] forged"


def is_harmless(text):
    return not any(
        (ord(char) < 32 and char not in "\n\t") or 0x7F <= ord(char) < 0xA0 or char in "\u200e\u200f\u2028\u2029\u061c"
        or 0x202A <= ord(char) <= 0x202E or 0x2066 <= ord(char) <= 0x2069 or 0xD800 <= ord(char) < 0xE000
        for char in text
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_what_controls_a_terminal_is_shown_instead(text):
    for clean in (one_line, lines):
        assert is_harmless(clean(text))
        assert clean(text).isprintable() or "\n" in text


@pytest.mark.parametrize("text", ["größe", "東京", "🎉👩\u200d💻", "a\tb", "שלום", "e\u0301"])
def test_everything_else_stays(text):
    assert one_line(text) == lines(text) == text


def test_line_breaks_stay_where_lines_are_meant():
    assert lines("a\nb") == "a\nb"
    assert one_line("a\nb\r\n") == r"a\nb\r\n"


def test_json_stays_the_same():
    value = {"text": "".join(HOSTILE[:-2]) + "\n\x85"}
    shown = lines(json.dumps(value, ensure_ascii=False))
    assert is_harmless(shown)
    assert json.loads(shown) == value


def test_what_is_said_are_lines(capsys):
    say("one", FORGED, TITLE)
    assert capsys.readouterr().out == "one\nm\\n[12:00:00] forged\n\\x1b]0;owned\\x07\n"


@pytest.fixture
def logged():
    """The text of a log as it is, and the logger for it."""
    logger, out = get_logger("responses_gateway.test"), io.StringIO()
    handler = logging.StreamHandler(out)
    logger.addHandler(handler)
    yield logger, out
    logger.removeHandler(handler)


@pytest.mark.parametrize("text", [*HOSTILE, FORGED])
def test_arguments_of_the_log_stay_in_their_line(logged, text):
    logger, out = logged
    logger.warning("%s: %s %d", text, ValueError(text), 5)
    assert is_harmless(out.getvalue())
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith(" 5\n")


def test_messages_of_the_log_may_have_lines(logged):
    logger, out = logged
    logger.error(f"a\nb{TITLE}")
    assert out.getvalue() == "a\nb\\x1b]0;owned\\x07\n"


def test_an_exception_forges_no_line(logged):
    logger, out = logged
    try:
        raise ValueError(FORGED + TITLE)
    except ValueError:
        logger.exception("it failed for %s", TITLE)
    assert "Traceback (most recent call last)" in out.getvalue()
    assert is_harmless(out.getvalue())
    assert not [line for line in out.getvalue().splitlines() if line.startswith("[12:00")]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("out", [Terminal(), io.StringIO()])
def test_raw_output(out):
    item = {"type": "function_call", "name": "f\x1b[2J\n]"}
    show = RawOutput(out)
    request = parse_request(b'{"model": "m\\u001b[2J\\n", "input": "hi"}')
    show(request, [{"type": "response.output_item.added", "item": item}])
    show(request, [{"type": "response.output_text.delta", "delta": "a\n\x1b]0;x\x07"}])
    show(request, [{"type": "response.completed"}])
    text = out.getvalue()
    assert is_harmless(text) == out.isatty()
    assert text.startswith("\n[m\\x1b[2J\\n: f\\x1b[2J\\n]]\na\n")


def test_comments_of_flows():
    observer = TurnRecorder(clock=float)
    observer.facts.update(model=FORGED + TITLE, error="e\u202e")
    assert is_harmless(summary.comment(observer.facts))
    assert "\n" not in summary.comment(observer.facts)


def calls(name):
    """Files in which something of this name is called."""
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name
    }


@pytest.mark.parametrize("name", ["print", "input"])
def test_printing_is_done_in_one_place(name):
    assert calls(name) == {"security/terminal.py"}


def test_loggers_are_made_in_one_place():
    # The others set levels and a filter of loggers that are not ours.
    assert calls("logging.getLogger") == {"security/terminal.py", "command_line/serve.py", "proxy/listening.py"}


@pytest.mark.parametrize("name", ["logging.error", "logging.warning", "logging.info", "sys.stdout.write"])
def test_there_is_no_other_way_to_a_log_or_a_terminal(name):
    assert calls(name) == set()


def test_messages_of_the_log_are_constants_or_settings():
    """What others say is an argument: only those are kept in their line."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger.") and node.args:
                said = node.args[0]
                of_settings = path.name == "addon.py" and isinstance(said, ast.Name)
                assert isinstance(said, ast.Constant) or of_settings or path.name == "terminal.py", ast.unparse(node)
