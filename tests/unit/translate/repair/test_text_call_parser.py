"""Tool calls written as text: found in every form, at any chunk borders; everything else comes out as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.translate.repair.text_call_parser import LONGEST_CALL, TextCallParser, TextPart
from responses_gateway.translate.repair.text_call_values import TextCall, TextReasoning
from unit.chunks import cut, every_chunking

OFFERED = ["exec_command", "write_stdin", "mcp__echo__echo"]


def run(pieces: list[str], offered: list[str] = OFFERED) -> list[TextPart]:
    """What comes out, neighbouring texts joined."""
    healer = TextCallParser(offered)
    out: list[TextPart] = []
    for piece in (*(each for text in pieces for each in healer.feed(text)), *healer.finish()):
        last = out[-1] if out else None
        if isinstance(piece, str) and isinstance(last, str):
            out[-1] = last + piece
        elif isinstance(piece, TextReasoning) and isinstance(last, TextReasoning):
            out[-1] = TextReasoning(last.text + piece.text)
        else:
            out.append(piece)
    return out


def calls(pieces: list[TextPart]) -> list[tuple[str, Any]]:
    return [(piece.name, json.loads(piece.arguments)) for piece in pieces if isinstance(piece, TextCall)]


def dsml(bar: str, wrapper: str = "function_calls", gap: str = "") -> str:
    tag = f"{bar}DSML{bar}{gap}"
    return (
        f'<{tag}{wrapper}>\n<{tag}invoke name="exec_command">\n'
        f'<{tag}parameter name="cmd" string="true">ls</{tag}parameter>\n'
        f'<{tag}parameter name="n" string="false">[1, {{"a": 2}}]</{tag}parameter>\n'
        f"</{tag}invoke>\n</{tag}{wrapper}>"
    )


LS = ("exec_command", {"cmd": "ls"})
LS_N = ("exec_command", {"cmd": "ls", "n": [1, {"a": 2}]})
ECHO = ("mcp__echo__echo", {"text": "hi"})
FORMS: dict[str, tuple[str, list[tuple[str, Any]]]] = {
    "dsml": (dsml("｜"), [LS_N]),
    "dsml doubled": (dsml("｜｜", "tool_calls"), [LS_N]),
    "dsml double bar": (dsml("‖", "calls"), [LS_N]),
    "dsml ascii": (dsml("|"), [LS_N]),
    "dsml spaced": (dsml("｜", "calls", " "), [LS_N]),
    "dsml json": (
        '<｜DSML｜tool_calls><｜DSML｜invoke name="exec_command">{"cmd": "ls"}</｜DSML｜invoke></｜DSML｜tool_calls>',
        [LS],
    ),
    "dsml bare": (
        '<｜DSML｜invoke name="exec_command">'
        '<｜DSML｜parameter name="cmd" string="true">ls</｜DSML｜parameter></｜DSML｜invoke>',
        [LS],
    ),
    "dsml two": (
        "<｜DSML｜tool_calls>\n"
        '<｜DSML｜invoke name="exec_command">\n'
        '<｜DSML｜parameter name="cmd" string="true">ls</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
        '<｜DSML｜invoke name="write_stdin">\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>',
        [LS, ("write_stdin", {})],
    ),
    "deepseek v3": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>"
        'exec_command\n```json\n{"cmd": "ls"}\n```<｜tool▁call▁end｜>\n'
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>"
        'mcp__echo__echo\n```json\n{"text": "hi"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        [LS, ECHO],
    ),
    "deepseek v3.1": (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"
        'exec_command<｜tool▁sep｜>{"cmd": "ls"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        [LS],
    ),
    "kimi": (
        "<|tool_calls_section_begin|><|tool_call_begin|>"
        'functions.exec_command:0<|tool_call_argument_begin|>{"cmd": "ls"}'
        '<|tool_call_end|><|tool_call_begin|>functions.mcp__echo__echo:1<|tool_call_argument_begin|>{"text": "hi"}'
        "<|tool_call_end|><|tool_calls_section_end|>",
        [LS, ECHO],
    ),
    "kimi bare": ('<|tool_call_begin|>exec_command<|tool_call_argument_begin|> {"cmd":"ls"} <|tool_call_end|>', [LS]),
    "hermes": ('<tool_call>\n{"name": "exec_command", "arguments": {"cmd": "ls"}}\n</tool_call>', [LS]),
    "hermes reversed": (
        '<tool_call>{"arguments": "{\\"cmd\\": \\"ls\\"}", "name": "functions.exec_command"}</tool_call>',
        [LS],
    ),
    "hermes two": (
        '<tool_call>{"name": "exec_command", "arguments": {"cmd": "ls"}}\n'
        '{"name": "mcp__echo__echo", "parameters": {"text": "hi"}}</tool_call>',
        [LS, ECHO],
    ),
    "hermes quoting itself": (
        '<tool_call>{"name": "exec_command", "arguments": {"cmd": "a</tool_call>`b"}}</tool_call>',
        [("exec_command", {"cmd": "a</tool_call>`b"})],
    ),
    "qwen": (
        "<tool_call>\n<function=exec_command>\n<parameter=cmd>\nls\n</parameter>\n</function>\n</tool_call>",
        [LS],
    ),
    "qwen without the function's end": (
        "<tool_call><function=exec_command><parameter=cmd>ls</parameter></tool_call>",
        [LS],
    ),
    "qwen quoting itself": (
        "<tool_call><function=exec_command>"
        "<parameter=cmd>a</parameter> b</function>\n c</parameter></function></tool_call>",
        [("exec_command", {"cmd": "a</parameter> b</function>\n c"})],
    ),
    "function parameters": ("<function=exec_command><parameter=cmd>ls</parameter></function>", [LS]),
    "function json": ('<function=exec_command>{"cmd": "ls"}</function>', [LS]),
    "function empty": ("<function=exec_command></function>", [("exec_command", {})]),
    "glm": (
        "<tool_call>exec_command\n<arg_key>cmd</arg_key>\n<arg_value>ls</arg_value>\n</tool_call>",
        [LS],
    ),
    "glm empty": ("<tool_call>exec_command</tool_call>", [("exec_command", {})]),
    "minimax": (
        '<minimax:tool_call>\n<invoke name="exec_command">\n<parameter name="cmd">ls</parameter>\n</invoke>\n'
        '<invoke name="mcp__echo__echo">\n<parameter name="text">hi</parameter>\n</invoke>\n</minimax:tool_call>',
        [LS, ECHO],
    ),
    "invoke": (
        '<function_calls><invoke name="exec_command"><parameter name="cmd">ls</parameter></invoke></function_calls>',
        [LS],
    ),
    "mistral list": (
        '[TOOL_CALLS] [{"name": "exec_command", "arguments": {"cmd": "ls"}}, '
        '{"name": "mcp__echo__echo", "arguments": {"text": "hi"}}]',
        [LS, ECHO],
    ),
    "mistral name": ('[TOOL_CALLS]exec_command{"cmd": "ls"}[TOOL_CALLS]mcp__echo__echo{"text": "hi"}', [LS, ECHO]),
    "mistral args": ('[TOOL_CALLS]exec_command[ARGS]{"cmd": "ls"}', [LS]),
    "mistral id": ('[TOOL_CALLS]exec_command[CALL_ID]abc123[ARGS]{"cmd": "ls"}', [LS]),
    "harmony": (
        '<|channel|>commentary to=functions.exec_command <|constrain|>json<|message|>{"cmd": "ls"}<|call|>',
        [LS],
    ),
    "harmony role": (
        '<|start|>assistant to=functions.exec_command<|channel|>commentary json<|message|>{"cmd": "ls"}<|call|>',
        [LS],
    ),
}
SAMPLES = st.sampled_from([text for text, _ in FORMS.values()])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_at_any_border(form: str) -> None:
    text, expected = FORMS[form]
    for pieces in every_chunking(text):
        out = run(pieces)
        assert calls(out) == expected
        assert "".join(piece for piece in out if isinstance(piece, str)) == ""


def deepseek(bar: str, gap: str, version: str, end: str | None = None) -> str:
    call, sep, done = (
        f"<{bar}{words.replace(' ', gap)}{bar}>" for words in ("tool call begin", "tool sep", "tool call end")
    )
    if version == "v3":
        return f'{call} function {sep} exec_command ```json {{"cmd": "ls"}} ``` {done if end is None else end}'.rstrip()
    return f'{call} exec_command {sep} {{"cmd": "ls"}} {done if end is None else end}'.rstrip()


def in_tags(opening: str, closing: str, quote: str = '"') -> str:
    value = f"<parameter name={quote}cmd{quote}>ls</parameter>"
    return f"{opening}<invoke name={quote}exec_command{quote}>{value}</invoke>{closing}"


FUNCTION = "<function=exec_command><parameter=cmd>ls</parameter></function>"
GLM = "<tool_call>exec_command<arg_key>cmd</arg_key><arg_value>ls</arg_value></tool_call>"
HERMES = '{"name": "exec_command", "arguments": {"cmd": "ls"}}'
HARMONY = "to=functions.exec_command"
VARIANTS = {
    "dsml": [
        f'<{tag}invoke name="exec_command"><{tag}parameter name="cmd">ls</{tag}parameter></{tag}invoke>'
        for tag in ("|DSML|", "||DSML||", "‖DSML‖", "｜｜DSML｜｜ ")
    ],
    "deepseek": [deepseek(bar, gap, version) for bar in "｜|" for gap in "▁_" for version in ("v3", "v3.1")],
    "deepseek without its end": [deepseek("｜", "▁", version, "") for version in ("v3", "v3.1")],
    "deepseek wrapped": [
        f"<{bar}tool{gap}calls{gap}begin{bar}>\n{deepseek(bar, gap, version)}\n<{bar}tool{gap}calls{gap}end{bar}>"
        for bar, gap in ("｜_", "|▁", "|_")
        for version in ("v3", "v3.1")
    ],
    "invoke": [
        in_tags("", ""),
        in_tags("", "", "'"),
        in_tags("", "", ""),
        *(
            in_tags(f"<{name}>\n", f"\n</{name}>")
            for name in ("minimax:tool_call", "function_calls", "tool_call", "tool_calls")
        ),
        '<invoke name="exec_command" ><parameter name="cmd" type="string">ls</parameter> </invoke>',
        '<invoke name="exec_command"><parameter name="cmd">\nls\n</parameter></invoke>',
        '<invoke name="exec_command">{"cmd": "ls"}</invoke>',
    ],
    "function": [
        f"<tool_calls> {FUNCTION} </tool_calls>",
        '<function="exec_command" ><parameter="cmd">ls</parameter> </function>',
        "<function='exec_command'><parameter='cmd'>\nls\n</parameter></function>",
    ],
    "glm": [GLM, f"<tool_calls>{GLM}</tool_calls>"],
    "hermes": [f"<minimax:tool_call>{HERMES}</minimax:tool_call>", f'<tool_call>{{"function": {HERMES}}}</tool_call>'],
    "kimi": [
        "<|tool_calls_section_begin|> <|tool_call_begin|> functions.exec_command:12 <|tool_call_argument_begin|> "
        '{"cmd": "ls"} <|tool_call_end|> <|tool_calls_section_end|>'
    ],
    "mistral": [
        f"[TOOL_CALLS] {HERMES}",
        '[TOOL_CALLS] exec_command [ARGS] {"cmd": "ls"}',
        '[TOOL_CALLS] exec_command {"cmd": "ls"}',
        '[TOOL_CALLS] exec_command [CALL_ID]a1[ARGS] {"cmd": "ls"}',
    ],
    "harmony": [
        *(
            f'<|channel|>commentary {HARMONY}<|message|>{{"cmd": "ls"}}{end}'
            for end in ("<|call|>", "<|end|>", "<|return|>", " <|call|>", "")
        ),
        f'<|start|>assistant {HARMONY}<|channel|>commentary<|constrain|>json <|message|>{{"cmd": "ls"}}<|call|>',
        f'<|start|>assistant<|channel|>analysis {HARMONY} <|constrain|>json<|message|>{{"cmd": "ls"}}<|call|>',
    ],
}


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, texts in VARIANTS.items() for text in texts])
def test_a_form_may_be_written_with_other_marks_and_more_space(form: str, text: str) -> None:
    for pieces in ([text], list(text)):
        out = run(pieces)
        assert calls(out) == [LS]
        assert "".join(piece for piece in out if isinstance(piece, str)).strip() == ""
    label = form.partition(" ")[0]
    assert [part.form for part in run([text]) if isinstance(part, TextCall)] == [label]


@pytest.mark.parametrize("form", FORMS)
def test_text_around_a_call_stays(form: str) -> None:
    text, expected = FORMS[form]
    out = run(list(f"Let me look: a < b, [x](y), `z`.\n\n{text}\n\nDone <ok>."))
    assert out[0] == "Let me look: a < b, [x](y), `z`.\n\n"
    assert calls(out) == expected
    assert out[-1] == "\n\nDone <ok>."


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "frame",
    [
        "Like so:\n```\n{}\n```\nand on.",
        "```xml\n{}\n```",
        "- a list:\n  ~~~~\n  {}\n~~~\n  ~~~~\n",
        "Here: ```\n{}\n```",
        "````\n```\n{}\n```\n{}\n````\n",
        "> ```\n> {}\n> ```\n",
        "```\nnever closed {}",
    ],
)
def test_markup_in_a_code_block_is_left_alone(form: str, frame: str) -> None:
    text = frame.replace("{}", FORMS[form][0].replace("```", "''"))
    for pieces in ([text], list(text)):
        assert run(pieces) == [text]


@pytest.mark.parametrize("frame", ["write `{}` for it", "``{}``", "a ```{}``` b"])
def test_markup_in_inline_code_is_left_alone(frame: str) -> None:
    for text, _ in FORMS.values():
        text = frame.replace("{}", text.replace("\n", " ").replace("`", "'"))
        for pieces in ([text], list(text)):
            assert run(pieces) == [text]


@pytest.mark.parametrize(
    "before",
    [
        "```\ncode\n```\n",
        "`a` and\n",
        "an odd ` here\n",
        "~~~\n```\n~~~\n",
        "```a```",
        "~~ no fence ~~~\n",
        "<~~~ no fence\n",
        "[~~~\n",
    ],
)
def test_markup_after_code_is_healed(before: str) -> None:
    for text, expected in FORMS.values():
        for pieces in ([before + text], list(before + text)):
            out = run(pieces)
            assert out[0] == before
            assert calls(out) == expected


@pytest.mark.parametrize("form", FORMS)
def test_tools_that_were_not_offered_stay_text(form: str) -> None:
    text, _ = FORMS[form]
    for pieces in ([text], list(text)):
        assert run(pieces, ["another"]) == [text]
        assert "".join(map(str, run(pieces, []))) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<tool_call>{"name": "exec_command", "arguments": {"cmd": "ls"}}', [LS]),
        ('<tool_call>{"name": "exec_command", "arguments": {"cmd": "ls"}}</tool_', [LS]),
        ("<function=exec_command><parameter=cmd>ls</parameter>\n", []),
        ('<｜DSML｜invoke name="exec_command"><｜DSML｜parameter name="cmd" string="true">ls</｜DSML｜parameter>', []),
        ('[TOOL_CALLS]exec_command{"cmd": "ls"}', [LS]),
        ('<|channel|>commentary to=functions.exec_command<|message|>{"cmd": "ls"}', [LS]),
        ('<|tool_call_begin|>exec_command<|tool_call_argument_begin|>{"cmd": "ls"}', [LS]),
        ('<tool_call>{"name": "exec_command", "arguments": {"cmd": "l', []),
        ("<function=exec_command><parameter=cmd>l", []),
        ("<function=exec_command>", []),
        ("<function=exec_comm", []),
        ("<tool_call>", []),
        ("<tool_", []),
        ("[TOOL_CALLS]", []),
        ('[TOOL_CALLS]exec_command{"cmd": ', []),
        ("<｜DSML｜function_calls>\n", []),
        ("<|channel|>", []),
    ],
)
def test_markup_that_does_not_end(text: str, expected: list[Any]) -> None:
    for pieces in every_chunking(text):
        out = run(pieces)
        assert calls(out) == expected
        if not expected:
            assert out == [text]


@pytest.mark.parametrize(
    "text",
    [
        "a <tool_call> is a tag, and <function=x> too; [TOOL_CALLS] starts a list",
        "<tool_call>exec_command is how it begins</tool_call>",
        '<tool_call>{"name": "exec_command"',
        '<tool_call>{"name": exec_command}</tool_call> then',
        '<tool_call>{"name": "exec_command", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "exec_command", "arguments": "ls"}</tool_call>',
        '[TOOL_CALLS] [{"name": "exec_command", "arguments": {}}, {"name": "other", "arguments": {}}]',
        "[TOOL_CALLS] [1, 2]",
        "<|channel|>analysis or so",
        "<|channel|>other<|message|>x<|end|>",
        "<｜DSML｜> is a token",
        "if a<b and c[TOOL] | d ｜ e ‖ f",
        "<" * 50 + "[" * 50 + "`~" * 20,
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    for pieces in every_chunking(text):
        assert run(pieces) == [text]


def test_a_closed_call_with_broken_arguments_is_passed_on() -> None:
    text = "<function=exec_command>{\"cmd\": 'ls'}</function>"
    assert run([text]) == [TextCall("exec_command", "{\"cmd\": 'ls'}", "function")]


def test_values_keep_their_line_breaks_unless_laid_out() -> None:
    text = "<function=exec_command><parameter=cmd>\n\na\n\n</parameter><parameter=b>c\n</parameter></function>"
    assert calls(run([text])) == [("exec_command", {"cmd": "\na\n", "b": "c\n"})]
    tag = "｜DSML｜"
    value = f'<{tag}parameter name="cmd" string="true">\na\n</{tag}parameter>'
    text = f'<{tag}invoke name="exec_command">{value}</{tag}invoke>'
    assert calls(run([text])) == [("exec_command", {"cmd": "\na\n"})]


def test_arguments_keep_their_bytes() -> None:
    raw = '{ "cmd" : "\\u00e9" ,"n":1.0}'
    out = run([f"<function=exec_command>{raw}</function>"])
    assert out == [TextCall("exec_command", raw, "function")]


def test_harmony_channels() -> None:
    text = (
        "<|channel|>analysis<|message|>I think < that.<|end|><|start|>assistant<|channel|>commentary<|message|>Looking."
        "<|end|><|start|>assistant"
        '<|channel|>commentary to=functions.exec_command <|constrain|>json<|message|>{"cmd":"ls"}'
        "<|call|><|start|>assistant<|channel|>final<|message|>Done `x`.<|return|>"
    )
    for pieces in every_chunking(text):
        assert run(pieces) == [
            TextReasoning("I think < that."),
            "Looking.",
            TextCall("exec_command", '{"cmd":"ls"}', "harmony"),
            "Done `x`.",
        ]


def test_channels_stream() -> None:
    healer = TextCallParser(OFFERED)
    assert healer.feed("<|channel|>analysis<|message|>I th") == [TextReasoning("I th")]
    assert healer.feed("ink <|e") == [TextReasoning("ink ")]
    assert healer.feed("nd|>") == []
    assert healer.feed("<|start|>assistant<|channel|>final<|message|>An") == ["An"]
    assert healer.feed("swer") == ["swer"]
    assert healer.finish() == []


def test_text_waits_only_while_it_may_be_markup() -> None:
    healer = TextCallParser(OFFERED)
    assert healer.feed("plain | text ") == ["plain | text "]
    assert healer.feed("a <") == ["a "]
    assert healer.feed("b") == ["<b"]
    assert healer.feed(" <tool") == [" "]
    assert healer.feed("box> ") == ["<toolbox> "]
    assert healer.feed("<tool_call> ") == []
    assert healer.feed("means") == []
    assert healer.feed(" a call") == ["<tool_call> means a call"]
    assert healer.feed('<tool_call>{"name": "exec_command", "arguments": {}}</tool_call>') == [
        TextCall("exec_command", "{}", "hermes")
    ]
    assert healer.feed("`<tool_call>") == ["`<tool_call>"]
    assert healer.finish() == []


def test_the_first_call_does_not_wait_for_the_second() -> None:
    healer = TextCallParser(OFFERED)
    first, second = FORMS["minimax"][0].split("</invoke>\n", 1)
    assert calls(healer.feed(first + "</invoke>")) == [LS]
    assert calls(healer.feed(second)) == [ECHO]


@pytest.mark.parametrize(("length", "healed"), [(LONGEST_CALL - 1000, True), (LONGEST_CALL + 1000, False)])
@pytest.mark.parametrize(
    "frame",
    [
        '<function=exec_command>{"cmd": "%s"}</function>',
        "<function=exec_command><parameter=cmd>%s</parameter></function>",
    ],
)
def test_what_is_held_back_is_limited(length: int, healed: bool, frame: str) -> None:
    text = frame % ("x" * length)
    for size in (len(text), 1000):
        out = run([text[at : at + size] for at in range(0, len(text), size)])
        assert bool(calls(out)) == healed
        assert healed or out == [text]


MARKS = """
< [ ` ``` ~~~ ｜ | text { } " <tool_call> </tool_call> </function> <function=exec_command>
<|channel|> analysis final <|message|> <|end|> <|call|> exec_command <parameter=cmd>
</parameter> [TOOL_CALLS] [ARGS] {"cmd":"ls"} <｜DSML｜ invoke name= >
"""
FRAGMENTS = st.sampled_from(["\n", " ", *MARKS.split()])
MIXTURES = st.lists(FRAGMENTS | SAMPLES | st.text(max_size=5), max_size=12).map("".join)


@given(MIXTURES, st.data())
def test_the_result_does_not_depend_on_borders(text: str, data: st.DataObject) -> None:
    whole = run([text])
    assert run(cut(data.draw, text)) == whole
    assert run(list(text)) == whole


@given(MIXTURES)
def test_nothing_is_lost_when_nothing_is_healed(text: str) -> None:
    out = run(list(text))
    if all(isinstance(piece, str) for piece in out) and "<|message|>" not in text:
        assert "".join(map(str, out)) == text
    assert "".join(map(str, run(list(text), []))) == text


@given(st.text())
def test_plain_text_passes_at_once(text: str) -> None:
    healer = TextCallParser(OFFERED)
    text = text.translate(dict.fromkeys(map(ord, "<[`~")))
    assert healer.feed(text) == ([text] if text else [])
    assert healer.finish() == []
