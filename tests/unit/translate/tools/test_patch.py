"""apply_patch input: a right patch is never touched, at any chunk borders; the known ways of being wrong are mended."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.translate.tools.patch import PatchRepairer, is_patch
from unit.chunks import cut, every_chunking, joined

PATCH = """*** Begin Patch
*** Add File: docs/a.md
+# Title
+```sh
+*** End Patch
+printf "a\\n"
+```
*** Update File: src/b.py
*** Move to: src/c.py
@@ def f():
 ```
-    return "\\n"
+    return 1
*** End Patch
"""
INNER = PATCH.removeprefix("*** Begin Patch\n").removesuffix("*** End Patch\n")


def run(pieces: list[str], *, closed: bool = True) -> tuple[str, list[str]]:
    repairer = PatchRepairer()
    return joined(repairer.feed, lambda: repairer.finish(closed=closed), pieces), repairer.repairs


LINE = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["```", "*** End Patch", "*** Begin Patch", "\\n", "EOF", '{"input": "x"}', "*** Add File: x"]
)
NAME = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=8)


def prefixed(prefixes: str) -> st.SearchStrategy[str]:
    return st.builds(lambda prefix, line: f"{prefix}{line}\n", st.sampled_from(prefixes), LINE)


ADD = st.builds(
    lambda name, lines: f"*** Add File: {name}\n" + "".join(lines), NAME, st.lists(prefixed("+"), min_size=1)
)
DELETE = st.builds(lambda name: f"*** Delete File: {name}\n", NAME)
CONTEXT = st.just("@@\n") | NAME.map(lambda name: f"@@ {name}\n")
UPDATE = st.builds(
    lambda name, move, lines, eof: f"*** Update File: {name}\n" + move + "".join(lines) + (eof if lines else ""),
    NAME,
    st.just("") | NAME.map(lambda name: f"*** Move to: {name}\n"),
    st.lists(prefixed("+- ") | CONTEXT, max_size=5),
    st.sampled_from(["", "*** End of File\n"]),
)
GRAMMATICAL = st.builds(
    lambda hunks, end: "*** Begin Patch\n" + "".join(hunks) + "*** End Patch" + end,
    st.lists(ADD | DELETE | UPDATE, min_size=1, max_size=4),
    st.sampled_from(["", "\n"]),
)


@given(GRAMMATICAL, st.data())
def test_a_right_patch_comes_out_as_it_was(patch: str, data: st.DataObject) -> None:
    assert run(cut(data.draw, patch)) == (patch, [])


@given(st.text() | st.text(alphabet="*` \n\\nabEndPatchBegin+-{}\"'<", max_size=60), st.data())
def test_the_result_does_not_depend_on_borders(text: str, data: st.DataObject) -> None:
    assert run(cut(data.draw, text)) == run([text])


def test_a_right_patch_streams() -> None:
    repairer = PatchRepairer()
    assert repairer.feed("*** Begin Pat") == ""
    assert repairer.feed("ch\n***") == ""
    assert repairer.feed(" Add File: a\n+x") == "*** Begin Patch\n*** Add File: a\n+x"
    assert repairer.feed("y") == "y"
    assert repairer.feed("\n*** ") == "\n"
    assert repairer.feed("Up") == "*** Up"
    assert repairer.feed("date File: b\n") == "date File: b\n"
    assert repairer.feed("*** End Patch") == "*** End Patch"
    assert repairer.feed("\n") == ""
    assert repairer.finish(closed=False) == "\n"
    assert repairer.repairs == []


ONE_LINE = PATCH.strip().replace("\\", "\\\\").replace("\n", "\\n")


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        (f"```\n{PATCH}```", "code fence"),
        (f"```diff\n{PATCH}```\n", "code fence"),
        (f"\n~~~~patch\n{PATCH}~~~~", "code fence"),
        (f"```patch\n{PATCH}", "code fence"),
        (json.dumps({"input": PATCH}), "JSON"),
        (json.dumps({"patch": PATCH, "why": "because"}, indent=1), "JSON"),
        (json.dumps({"command": ["apply_patch", PATCH]}), "JSON"),
        (json.dumps(["apply_patch", PATCH]), "JSON"),
        (json.dumps(PATCH), "JSON"),
        (f"apply_patch <<'EOF'\n{PATCH}EOF\n", "heredoc"),
        (f'apply_patch <<"PATCH"\n{PATCH}PATCH', "heredoc"),
        (f"apply_patch << EOF\n{PATCH}", "heredoc"),
        (f"<<EOF\n{PATCH}EOF", "heredoc"),
        (json.dumps({"cmd": f"apply_patch <<'EOF'\n{PATCH}EOF"}), "heredoc"),
        (f"```sh\napply_patch <<'EOF'\n{PATCH}EOF\n```", "heredoc"),
        (f"Here is the patch:\n\n{PATCH}\nThat should do.", "surrounding text"),
        (f"Here:\n```\n{PATCH}```\n", "surrounding text"),
        (INNER, "first or last line"),
        ("\n" + INNER + "*** End Patch\n", "first or last line"),
        (f"```\n{INNER}```", "first or last line"),
        (ONE_LINE.replace('"', '\\"'), "unescaped"),
        (json.dumps(PATCH.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')), "unescaped"),
    ],
)
def test_wrong_patches_are_mended(text: str, mend: str) -> None:
    for pieces in (every_chunking(text)[0], every_chunking(text)[-1]):
        out, repairs = run(pieces)
        assert out.strip() == PATCH.strip()
        assert any(mend in each for each in repairs)


def test_newlines_alone_may_have_been_escaped() -> None:
    out, repairs = run(['*** Begin Patch\\n*** Add File: a\\n+x = "1"\\n*** End Patch'])
    assert out == '*** Begin Patch\n*** Add File: a\n+x = "1"\n*** End Patch'
    assert repairs == ["newlines unescaped"]


@pytest.mark.parametrize("end", ["+x\n", "+x", "+x\n*** End", "+x\n*** End of File\n"])
def test_only_a_forgotten_last_line_is_added(end: str) -> None:
    text = "*** Begin Patch\n*** Add File: a\n" + end
    for pieces in every_chunking(text):
        assert run(pieces, closed=False) == (text, [])
        added = "*** End Patch" if end.endswith("\n") else ""
        assert run(pieces) == (text + added, [f'added missing "{added}"'] if added else [])


@pytest.mark.parametrize("text", [INNER, f"```\n{INNER}", f"apply_patch <<EOF\n{INNER}"])
def test_a_last_line_may_be_missing_only_where_the_model_ended_the_text(text: str) -> None:
    assert run([text])[0] == PATCH
    assert run([text], closed=False) == (text, [])
    assert run([text.removesuffix("\n")]) == (text.removesuffix("\n"), [])


@given(GRAMMATICAL, st.data())
def test_no_beginning_of_a_patch_becomes_another_patch(patch: str, data: st.DataObject) -> None:
    for wrapped in (patch, f"```\n{patch}\n```", f"apply_patch <<'EOF'\n{patch}\nEOF"):
        cut_off = wrapped[: data.draw(st.integers(0, len(wrapped)))]
        out, _ = run([cut_off], closed=False)
        assert not is_patch(out) or out.strip() == patch.strip()


@pytest.mark.parametrize("junk", ["\n```", "\n```\n", "\nEOF\n", "\n\nDone!", "```", "\nEOF\n)"])
def test_what_follows_the_last_line_is_dropped(junk: str) -> None:
    for pieces in every_chunking(PATCH.strip() + junk):
        assert run(pieces) == (PATCH, ['dropped text after "*** End Patch"'])


def test_paths_follow_a_change_of_directory() -> None:
    body = "*** Begin Patch\n*** Update File: a.py\n*** Move to: /b.py\n@@\n+*** Add File: x\n*** End Patch\n"
    out, _ = run([f"cd 'my app' && apply_patch <<'EOF'\n{body}EOF"])
    assert out.strip() == body.replace("File: a.py", "File: my app/a.py").strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "```\nhello\n```",
        '{"input": "hello"}',
        "cd $HOME && apply_patch <<'EOF'\n" + PATCH + "EOF",
        "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n+b\n",
        PATCH + PATCH,
        "see *** Begin Patch and *** End Patch",
        json.dumps([PATCH, PATCH]),
        '*** Begin Patch\\n*** Add File: a\\n+print("a\\nb")\\n*** End Patch',
        "*** Begin Patch",
        " " + PATCH,
    ],
)
def test_what_is_not_recognised_passes_unchanged(text: str) -> None:
    for pieces in (every_chunking(text)[0], every_chunking(text)[-1]):
        assert run(pieces) == (text, [])
