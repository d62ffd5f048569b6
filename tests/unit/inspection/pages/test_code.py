"""Patches and differences in colours."""

import re

from responses_gateway.inspection.pages.code import LINES, code_block, difference


def kinds(html: str | None) -> list[tuple[str, str]]:
    return re.findall('<span class="(\\w+)">(.*?)</span>', html or "")


def test_a_patch_is_known_without_being_named() -> None:
    found = kinds(code_block("*** Begin Patch\n*** Update File: a\n@@\n-<a>\n+<b>\n c\n*** End Patch"))
    assert [kind for kind, _ in found] == ["file", "file", "hunk", "gone", "added", "same", "file"]
    assert ("added", "+&lt;b&gt;") in found
    assert kinds(code_block("- a list\n+ not a patch")) == []


def test_differences_have_the_numbers_of_their_lines() -> None:
    assert difference("same", "same") is None
    before = "\n".join(map(str, range(100)))
    found = kinds(difference(before, before.replace("\n50\n", "\n<50>\n")))
    assert found[0] == ("hunk", "@@ -48,7 +48,7 @@")
    assert ("gone", "-50") in found
    assert ("added", "+&lt;50&gt;") in found


def test_more_lines_than_can_be_compared_are_said() -> None:
    before = "\n".join(f"a{number}" for number in range(2 * LINES))
    assert "lines more are not compared" in (difference(before, before.replace("a", "b")) or "")
