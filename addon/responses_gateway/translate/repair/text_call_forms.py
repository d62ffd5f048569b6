"""The forms in which models write tool calls as text.

This is what the chat templates of models look like when no parser took the calls out. A form without wrapper stands
alone; inside a wrapper, several calls may follow one another.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from responses_gateway.translate.repair.text_call_patterns import Pattern

SPACE = re.compile(r"\s{0,200}")
NAME = re.compile(r"(?P<name>[\w.:/-]{1,160})")
_KEY = re.compile(r"(?P<key>[^<>\"'\n]{1,200})")
_QUOTE = re.compile(r"[\"']?")
_ATTRIBUTES = re.compile(r"(?P<attributes>[^<>]{0,80})")
_LIST = re.compile(r"[a-z_]{1,20}")
_WORD = re.compile(r"\w{0,40}")
_OBJECT_AHEAD = re.compile(r"(?=\{)")
_JSON_AHEAD = re.compile(r"(?=[\[{])")
_TAG_AHEAD = re.compile(r"(?=<)")


class Body(Enum):
    """The format of a call between its beginning and its end."""

    ARGUMENTS = auto()
    """The arguments as JSON, or parameter by parameter if the form has a pattern for them."""
    ENVELOPE = auto()
    """JSON that holds the name too, `{"name": …, "arguments": …}`, or a list of such objects."""
    CHANNEL = auto()
    """Reasoning, text or the arguments of a call, as the harmony channel in the beginning says."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The markup around one or more calls."""

    opening: Pattern
    closing: Pattern


@dataclass(frozen=True, slots=True)
class Form:
    """One way of writing a call. `ends` are tried in order; an empty end means that the end of the JSON is enough."""

    label: str
    begins: tuple[Pattern, ...]
    ends: tuple[Pattern, ...]
    body: Body = Body.ARGUMENTS
    parameter: Pattern | None = None
    parameter_end: re.Pattern[str] = field(default=re.compile(r"</parameter>"))
    trims: bool = False
    """Whether a line break at both ends of a value is layout, and no part of the value."""
    wrappers: tuple[Wrapper | None, ...] = (None,)


def _tags(label: str, bar: str, wrappers: tuple[Wrapper | None, ...]) -> Form:
    """`<invoke name="x"><parameter name="k">v</parameter></invoke>`, with `bar` before each tag's name."""

    def tag(opening: str, name: str) -> Pattern:
        return (f"{opening}{bar}", SPACE, name) if bar else (f"{opening}{name}",)

    return Form(
        label,
        begins=((*tag("<", "invoke"), SPACE, "name=", _QUOTE, NAME, _QUOTE, SPACE, ">"),),
        ends=((SPACE, *tag("</", "invoke"), ">"),),
        parameter=(*tag("<", "parameter"), SPACE, "name=", _QUOTE, _KEY, _QUOTE, _ATTRIBUTES, ">"),
        parameter_end=re.compile(rf"</{re.escape(bar)}\s?parameter>"),
        trims=not bar,
        wrappers=wrappers,
    )


def _dsml(bar: str) -> Form:
    tag = f"{bar}DSML{bar}"
    calls = Wrapper((f"<{tag}", SPACE, _LIST, SPACE, ">"), (f"</{tag}", SPACE, _LIST, ">"))
    return _tags("dsml", tag, (calls, None))


def _token_forms(bar: str, gap: str) -> list[Form]:
    """DeepSeek's `<｜tool▁calls▁begin｜>` tokens, with the bars and gaps they are also detokenised to."""

    def token(words: str) -> str:
        return f"<{bar}{words.replace(' ', gap)}{bar}>"

    call, sep, end = token("tool call begin"), token("tool sep"), token("tool call end")
    calls = Wrapper((token("tool calls begin"),), (token("tool calls end"),))
    v3 = (call, SPACE, _WORD, SPACE, sep, SPACE, NAME, SPACE, "```json", SPACE, _OBJECT_AHEAD)
    v31 = (call, SPACE, NAME, SPACE, sep, SPACE, _OBJECT_AHEAD)
    return [
        Form("deepseek", (v3,), ((SPACE, "```", SPACE, end), (SPACE, "```")), wrappers=(calls, None)),
        Form("deepseek", (v31,), ((SPACE, end), ()), wrappers=(calls, None)),
    ]


_TOOL_CALL = Wrapper(("<tool_call>",), ("</tool_call>",))
_TOOL_CALLS = Wrapper(("<tool_calls>",), ("</tool_calls>",))
_FUNCTION_CALLS = Wrapper(("<function_calls>",), ("</function_calls>",))
_MINIMAX = Wrapper(("<minimax:tool_call>",), ("</minimax:tool_call>",))
_KIMI = Wrapper(("<|tool_calls_section_begin|>",), ("<|tool_calls_section_end|>",))

_HEADER = re.compile(r"(?P<header>[^<\n]{0,200})")
_ROLE = re.compile(r"(?P<role>[^<\n]{0,200})")
_HARMONY_BEGINS: tuple[Pattern, ...] = tuple(
    (*start, "<|channel|>", _HEADER, *constraint, "<|message|>")
    for start in ((), ("<|start|>assistant", _ROLE))
    for constraint in ((), ("<|constrain|>", _WORD, SPACE))
)

FORMS: tuple[Form, ...] = (
    *(_dsml(bar) for bar in ("｜", "｜｜", "‖", "|", "||")),
    *(form for bar in "｜|" for gap in "▁_" for form in _token_forms(bar, gap)),
    Form(
        "kimi",
        begins=(("<|tool_call_begin|>", SPACE, NAME, SPACE, "<|tool_call_argument_begin|>", SPACE, _OBJECT_AHEAD),),
        ends=((SPACE, "<|tool_call_end|>"), ()),
        wrappers=(_KIMI, None),
    ),
    Form(
        "hermes",
        begins=((_OBJECT_AHEAD,),),
        ends=((),),
        body=Body.ENVELOPE,
        wrappers=(_TOOL_CALL, _MINIMAX),
    ),
    Form(
        "function",
        begins=(("<function=", _QUOTE, NAME, _QUOTE, SPACE, ">"),),
        ends=((SPACE, "</function>"),),
        parameter=("<parameter=", _QUOTE, _KEY, _QUOTE, ">"),
        trims=True,
        wrappers=(_TOOL_CALL, _TOOL_CALLS, None),
    ),
    Form(
        "glm",
        begins=(("<tool_call>", SPACE, NAME, SPACE, _TAG_AHEAD),),
        ends=((SPACE, "</tool_call>"),),
        parameter=("<arg_key>", _KEY, "</arg_key>", SPACE, "<arg_value>"),
        parameter_end=re.compile(r"</arg_value>"),
        wrappers=(None, _TOOL_CALLS),
    ),
    _tags("invoke", "", (_MINIMAX, _FUNCTION_CALLS, _TOOL_CALL, _TOOL_CALLS, None)),
    Form("mistral", begins=(("[TOOL_CALLS]", SPACE, _JSON_AHEAD),), ends=((),), body=Body.ENVELOPE),
    Form(
        "mistral",
        begins=(
            ("[TOOL_CALLS]", SPACE, NAME, SPACE, "[ARGS]", SPACE, _OBJECT_AHEAD),
            ("[TOOL_CALLS]", SPACE, NAME, SPACE, "[CALL_ID]", _WORD, "[ARGS]", SPACE, _OBJECT_AHEAD),
            ("[TOOL_CALLS]", SPACE, NAME, SPACE, _OBJECT_AHEAD),
        ),
        ends=((),),
    ),
    Form(
        "harmony",
        begins=_HARMONY_BEGINS,
        ends=((SPACE, "<|call|>"), (SPACE, "<|end|>"), (SPACE, "<|return|>"), ()),
        body=Body.CHANNEL,
    ),
)


@dataclass(frozen=True, slots=True)
class Opening:
    """One way in which calls can begin: the opening of a wrapper if there is one, and the beginning of a call."""

    begin: Pattern
    form: Form
    wrapper: Wrapper | None

    @property
    def first_literal(self) -> str:
        """The literal that it begins with."""
        first = self.begin[0]
        return first if isinstance(first, str) else ""


OPENINGS: tuple[Opening, ...] = tuple(
    Opening((*wrapper.opening, SPACE, *begin) if wrapper else begin, form, wrapper)
    for form in FORMS
    for wrapper in form.wrappers
    for begin in form.begins
)
_FIRST_LITERALS = frozenset(opening.first_literal for opening in OPENINGS)
PARTIAL_OPENINGS = frozenset(first[:length] for first in _FIRST_LITERALS for length in range(1, len(first)))
LONGEST_OPENING = max(map(len, _FIRST_LITERALS))
OPENING = re.compile("|".join(re.escape(first) for first in sorted(_FIRST_LITERALS, key=len, reverse=True)))
