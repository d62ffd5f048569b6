"""Long lines in a narrow pane."""

from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.inspection.text import WIDTH, prose, wrapped


def test_lines_break_between_words():
    assert prose("one two three four", 8) == "one two\nthree\nfour"
    assert prose("short\n\nlines", 8) == "short\n\nlines"


def test_a_long_word_stays_whole():
    assert prose("a wordwithoutend b", 4) == "a\nwordwithoutend\nb"


@given(st.text("ab \n", max_size=60), st.integers(1, 20))
def test_nothing_is_lost(text, width):
    assert prose(text, width).replace("\n", " ") == text.replace("\n", " ")


def test_a_short_line_is_left_alone():
    assert wrapped("  two  spaces") == "  two  spaces"
    assert all(len(line) <= WIDTH for line in wrapped("word " * 50).splitlines())
