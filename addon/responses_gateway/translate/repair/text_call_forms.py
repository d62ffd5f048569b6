"""The forms in which models write tool calls as text: what their chat templates look like when no parser took them.

A pattern is a sequence of literals and small expressions (one character class or a look-ahead each), so that of a text
that ends too early it can also be said that it may still match. A form without wrapper stands alone; in a wrapper, one
call may follow the other.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto

type Pattern = tuple[str | re.Pattern[str], ...]

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
    """What stands between the beginning and the end of a call."""

    ARGUMENTS = auto()
    """The arguments as JSON, or parameters if the form has them."""
    ENVELOPE = auto()
    """JSON with the name too, `{"name": …, "arguments": …}`, or a list of such."""
    CHANNEL = auto()
    """What the harmony channel in the beginning says: reasoning, text, or a call's arguments."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """What stands around calls."""

    opening: Pattern
    closing: Pattern


@dataclass(frozen=True, slots=True)
class Form:
    """One way of writing a call; `ends` are tried in order, and an empty one means that the JSON's end is enough."""

    label: str
    begins: tuple[Pattern, ...]
    ends: tuple[Pattern, ...]
    body: Body = Body.ARGUMENTS
    parameter: Pattern | None = None
    parameter_end: re.Pattern[str] = field(default=re.compile(r"</parameter>"))
    trims: bool = False
    """A value with a line break at both ends was only laid out that way."""
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
class Entry:
    """One way in: a form, in one of its wrappers or alone, from the first character of its opening on."""

    begin: Pattern
    form: Form
    wrapper: Wrapper | None

    @property
    def opener(self) -> str:
        """The literal that it begins with."""
        first = self.begin[0]
        return first if isinstance(first, str) else ""


ENTRIES: tuple[Entry, ...] = tuple(
    Entry((*wrapper.opening, SPACE, *begin) if wrapper else begin, form, wrapper)
    for form in FORMS
    for wrapper in form.wrappers
    for begin in form.begins
)
OPENERS = frozenset(entry.opener for entry in ENTRIES)
OPENER_BEGINNINGS = frozenset(opener[:length] for opener in OPENERS for length in range(1, len(opener)))
LONGEST_OPENER = max(map(len, OPENERS))
OPENER = re.compile("|".join(re.escape(opener) for opener in sorted(OPENERS, key=len, reverse=True)))


@dataclass(frozen=True, slots=True)
class Found:
    """A pattern matched up to `end`."""

    end: int
    groups: dict[str, str | None]


class Outcome(Enum):
    """A pattern that did not match."""

    NO = auto()
    MORE = auto()
    """The text ends too early to tell."""


def match(pattern: Pattern, text: str, pos: int, *, final: bool) -> Found | Outcome:
    """Match at `pos`; when the text is `final`, nothing more will come."""
    groups: dict[str, str | None] = {}
    for part in pattern:
        if isinstance(part, str):
            if text.startswith(part, pos):
                pos += len(part)
            else:
                return Outcome.MORE if not final and part.startswith(text[pos : pos + len(part)]) else Outcome.NO
            continue
        found = part.match(text, pos)
        if not final and (pos == len(text) or (found and found.end() == len(text))):
            return Outcome.MORE
        if found is None:
            return Outcome.NO
        groups |= found.groupdict()
        pos = found.end()
    return Found(pos, groups)
