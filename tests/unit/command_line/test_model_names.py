"""How models are named to the user."""

import pytest

from responses_gateway.command_line.model_names import proposed, told


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], None),
        (["b", "a"], "b"),
        (["text-embedding-3", "Whisper-1", "a"], "a"),
        (["text-embedding-3"], "text-embedding-3"),
    ],
)
def test_the_first_model_that_can_be_talked_to_is_proposed(names: list[str], expected: str | None) -> None:
    assert proposed(names) == expected


def test_long_lists_are_cut() -> None:
    assert told([*"abcdefgh"]) == "a, b, c, d, e, f, g, h"
    assert told([*"abcdefghij"]) == "a, b, c, d, e, f, g, h and 2 more"
