"""Reasoning that stands in the text as a leading block: split off at any chunk borders, and only there."""

import pytest

from responses_gateway.translate.answer.think_splitter import ThinkSplitter
from unit.chunks import every_chunking


def split(pieces: list[str]) -> tuple[str, str]:
    """The reasoning and the text of an answer, each joined; reasoning may not come behind text."""
    splitter, found, kinds = ThinkSplitter(), {"reasoning": "", "text": ""}, list[str]()
    for kind, section in [section for piece in pieces for section in splitter.feed(piece)] + splitter.finish():
        found[kind] += section
        kinds.append(kind)
    assert kinds == sorted(kinds)
    assert splitter.finish() == []
    return found["reasoning"], found["text"]


TAGS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("◁think▷", "◁/think▷"),
]


@pytest.mark.parametrize(("opener", "closer"), TAGS)
@pytest.mark.parametrize(
    ("written", "reasoning", "text"),
    [
        ("[Hm.]So.", "Hm.", "So."),
        (" \n[\n\nHm.\n]\n\nSo.", "Hm.\n", "So."),
        ("[\r\nHm.]\r\nSo.", "Hm.", "So."),
        ("[ Hm. ] So.", " Hm. ", " So."),
        ("[]So.", "", "So."),
        ("[\n\n]\n\nSo.", "", "So."),
        ("[Hm.]", "Hm.", ""),
        ("[Hm.]\n", "Hm.", ""),
        ("[Hm.", "Hm.", ""),
        ("[", "", ""),
        ("[Hm. a < b </thin]So.", "Hm. a < b </thin", "So."),
        ("[Hm.]So. [no]", "Hm.", "So. [no]"),
        ("[[Hm.]So.", "[Hm.", "So."),
        ("So. [Hm.]", "", "So. [Hm.]"),
        ("x[Hm.]", "", "x[Hm.]"),
    ],
)
def test_a_leading_block_is_reasoning(opener: str, closer: str, written: str, reasoning: str, text: str) -> None:
    def tagged(words: str) -> str:
        return words.replace("[", opener).replace("]", closer)

    for pieces in every_chunking(tagged(written)):
        assert split(pieces) == (tagged(reasoning), tagged(text))


@pytest.mark.parametrize(
    "text", ["", " ", " \n ", "<", "<thin", " <thi", "<thinkers>a", "</think>a", "think", "◁", "So."]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    for pieces in every_chunking(text):
        assert split(pieces) == ("", text)


def test_reasoning_is_shown_as_it_comes() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed(" <think>\n") == []
    assert splitter.feed("\nHm") == [("reasoning", "Hm")]
    assert splitter.feed(" a </th") == [("reasoning", " a ")]
    assert splitter.feed("an") == [("reasoning", "</than")]
    assert splitter.feed("</think>") == []
    assert not splitter.passing
    assert splitter.feed("\n\n") == []
    assert splitter.feed("So") == [("text", "So")]
    assert splitter.passing
    assert splitter.feed("<think>") == [("text", "<think>")]


def test_text_waits_no_longer_than_it_may_be_a_tag() -> None:
    splitter = ThinkSplitter()
    assert splitter.feed(" <th") == []
    assert splitter.feed("at>") == [("text", " <that>")]
    assert splitter.passing
