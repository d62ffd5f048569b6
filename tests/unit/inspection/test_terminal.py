"""Nothing that is printed can command a terminal."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.inspection.terminal import printable, printable_json, printable_line


@given(st.text())
def test_control_characters_are_written_out(text: str) -> None:
    for shown in (printable(text), printable_line(text), printable_json({"a": text})):
        assert all(unicodedata.category(one) not in ("Cc", "Cs") for one in shown.replace("\n", "").replace("\t", ""))
    assert "\n" not in printable_line(text)


def test_what_is_harmless_stays() -> None:
    assert printable("Grüße, 世界 🙂\n\ttab") == "Grüße, 世界 🙂\n\ttab"
    assert printable("\x1b[31mred\u202e") == "\\x1b[31mred\\u202e"
    assert json.loads(printable_json(["\x9b\x7f\u202e"])) == ["\x9b\x7f\u202e"]
