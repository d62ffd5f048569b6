"""Patches in forms that apply_patch does not take: translated when they are whole and mean one thing."""

import json

import pytest

from responses_gateway.translate.tools.patch import PatchRepairer
from responses_gateway.translate.tools.patch_arguments import PatchArguments
from unit.chunks import every_chunking

DIFF = """diff --git a/src/x.py b/src/x.py
index 1..2 100644
--- a/src/x.py
+++ b/src/x.py
@@ -1,3 +1,3 @@ def f():
 one
-two
+TWO

@@ -9 +9,2 @@
 nine
+ten
\\ No newline at end of file
--- /dev/null
+++ b/new.txt
@@ -0,0 +1,2 @@
+a
+b
--- a/old.txt
+++ /dev/null
@@ -1 +0,0 @@
-gone
"""
TRANSLATED = """*** Begin Patch
*** Update File: src/x.py
@@
 one
-two
+TWO
@EMPTY@
@@
 nine
+ten
*** Add File: new.txt
+a
+b
*** Delete File: old.txt
*** End Patch
""".replace("@EMPTY@", " ")
BARE = "*** Begin Patch\n*** Add File: a.md\n# A\n\n- b\n*** End Patch\n"
PLUS = "*** Begin Patch\n*** Add File: a.md\n+# A\n+\n+- b\n*** End Patch\n"
LATER = "*** Begin Patch\n*** Delete File: b\n*** Add File: a.md\n# A\n*** End Patch\n"


def repaired(pieces: list[str], *, closed: bool = True) -> tuple[str, list[str]]:
    repairer = PatchRepairer()
    out = "".join([repairer.feed(piece) for piece in pieces])
    return out + repairer.finish(closed=closed), repairer.repairs


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (DIFF, TRANSLATED),
        (f"```diff\n{DIFF}```\n", TRANSLATED),
        (f"*** Begin Patch\n{DIFF}*** End Patch\n", TRANSLATED),
        (BARE, PLUS),
    ],
    ids=["unified", "fenced", "in the envelope", "without plus"],
)
def test_a_foreign_form_is_translated(given: str, expected: str) -> None:
    for pieces in ([given], list(given)):
        patch, repairs = repaired(pieces)
        assert patch == expected
        assert repairs


def test_it_is_translated_where_apply_patch_is_a_function() -> None:
    arguments = PatchArguments("input")
    out = arguments.feed(json.dumps({"input": DIFF})) + arguments.finish()
    assert json.loads(out) == {"input": TRANSLATED}


@pytest.mark.parametrize(
    "given",
    [
        DIFF[: DIFF.index("-gone")],
        DIFF[: DIFF.index("+ten")],
        DIFF.replace("@@ -9 +9,2 @@", "@@ ... @@"),
        DIFF.replace("+++ b/src/x.py", "+++ b/src/y.py"),
        DIFF.replace(" nine\n", "").replace("-9 +9,2", "-9,0 +9"),
        "*** Begin Patch\n*** Add File: a\n one\n two\n*** End Patch\n",
        "*** Begin Patch\n*** Add File: a\none\n+two\n*** End Patch\n",
        "*** Begin Patch\n*** Add File: a\none\n\n*** End Patch\n",
    ],
    ids=["cut", "cut in a hunk", "no counts", "renamed", "nowhere", "indented", "mixed", "blank end"],
)
def test_what_is_cut_off_or_means_two_things_stays(given: str) -> None:
    assert repaired([given]) == (given, [])


def test_what_may_go_on_is_not_translated() -> None:
    assert repaired([DIFF], closed=False) == (DIFF, [])


def test_a_right_patch_streams() -> None:
    for pieces in every_chunking(PLUS):
        assert repaired(pieces) == (PLUS, [])
    repairer = PatchRepairer()
    assert repairer.feed(PLUS[:40]) == PLUS[:40]
    assert repaired([LATER]) == (LATER, [])


def diff(*lines: str, old: str = "--- a/x", new: str = "+++ b/x") -> str:
    return "\n".join([old, new, *lines]) + "\n"


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"]) + "\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (diff("@@ -1 +1 @@", "-a", "+b"), patch("*** Update File: x", "@@", "-a", "+b")),
        (diff("@@ -1,1 +1,2 @@ f()", " a", "+b"), patch("*** Update File: x", "@@", " a", "+b")),
        (diff("@@ -1,3 +1,2 @@", "-a", "", " c"), patch("*** Update File: x", "@@", "-a", " ", " c")),
        (diff("@@ -1 +1 @@", "-a", "\\ No newline", "+b"), patch("*** Update File: x", "@@", "-a", "+b")),
        (
            diff("@@ -1 +1 @@", "-a", "+b", old="--- x\t2026-01-01", new="+++ x\t2026-01-02"),
            patch("*** Update File: x", "@@", "-a", "+b"),
        ),
        (
            "new file mode 100644\n" + diff("@@ -0,0 +1 @@", "+a", old="--- /dev/null"),
            patch("*** Add File: x", "+a"),
        ),
        (
            "deleted file mode 100644\n" + diff("@@ -1,2 +0,0 @@", "-a", "-b", new="+++ /dev/null"),
            patch("*** Delete File: x"),
        ),
        (
            diff("@@ -1 +1 @@", "-a", "+b", "@@ -9 +9 @@", "-c", "+d"),
            patch("*** Update File: x", "@@", "-a", "+b", "@@", "-c", "+d"),
        ),
        (
            diff("@@ -1 +1 @@", "-a", "+b") + "\n" + diff("@@ -1 +1 @@", "-a", "+b", old="--- a/y", new="+++ b/y"),
            patch("*** Update File: x", "@@", "-a", "+b", "*** Update File: y", "@@", "-a", "+b"),
        ),
    ],
)
def test_which_diffs_mean_one_thing(given: str, expected: str) -> None:
    assert repaired([given]) == (expected, ["translated from a unified diff"])


@pytest.mark.parametrize(
    "given",
    [
        diff("@@ -1 +1 @@", "-a", "+b", old='--- "a/x y"', new='+++ "b/x y"'),
        diff("@@ -1 +1 @@", "-a", "+b", old="--- "),
        diff("@@ -1 +1 @@", "-a", "*b"),
        diff("@@ -1 +1 @@", "-a", "-b", "+c"),
        diff("@@ -1 +1 @@", "-a", "+b", "+c"),
        diff("@@ -1 @@", "-a", "+b"),
        diff("@@ -0,0 +1 @@", "+a"),
        diff("@@ -1 +1 @@", " a"),
        diff(),
        diff("@@ -1 +1 @@", "-a", "+b", old="--- /dev/null"),
        diff("@@ -0,0 +1 @@", "+a", "@@ -0,0 +9 @@", "+b", old="--- /dev/null"),
        diff("@@ -1 +1 @@", "-a", "+b", new="+++ /dev/null"),
        diff("@@ -1,0 +1,0 @@", new="+++ /dev/null"),
        "--- a/x\nno name\n@@ -1 +1 @@\n-a\n+b\n",
        "words\n" + diff("@@ -1 +1 @@", "-a", "+b"),
        "--- a/x\n",
    ],
)
def test_which_diffs_do_not(given: str) -> None:
    assert repaired([given]) == (given, [])


@pytest.mark.parametrize(
    ("content", "plain"),
    [
        (["a"], True),
        (["a", " b"], True),
        (["", "a"], True),
        ([" a", "b"], True),
        ([" a", "", " b"], False),
        (["a", ""], False),
        (["a", " "], False),
        (["a", "@@"], False),
        (["+a", "b"], False),
        ([], False),
    ],
)
def test_which_new_files_lack_their_plus(content: list[str], plain: bool) -> None:
    given = patch("*** Add File: a", *content, "*** Delete File: b")
    expected = patch("*** Add File: a", *(f"+{line}" for line in content), "*** Delete File: b")
    assert repaired([given]) == ((expected, ["new files given the + before each line"]) if plain else (given, []))
