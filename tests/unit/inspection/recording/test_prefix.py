"""The common prefix of consecutive requests, in bytes of the bodies as they were sent."""

from hypothesis import given
from hypothesis import strategies as st

from responses_gateway.inspection.recording.prefix import PrefixReport, compare, fingerprint, lasting_digest, outline
from responses_gateway.protocol.json import dumps

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
BODIES = st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=5)


def report(before, after) -> PrefixReport:
    return compare(fingerprint(outline(before)), outline(after))


@given(BODIES)
def test_parts_end_where_they_end_in_the_body(body):
    rendered = dumps(body)
    request = outline(body)
    assert request.size == len(rendered)
    ends = [part.end for part in request.parts]
    assert ends == sorted(ends)
    for part in request.parts:
        assert rendered[part.end : part.end + 1] in (b",", b"}", b"]")


@given(BODIES, BODIES)
def test_the_common_part_is_really_common(before, after):
    common = report(before, after).common
    assert dumps(before)[:common] == dumps(after)[:common]


def test_an_empty_key_is_not_the_first_index():
    assert report({"a": [1]}, {"a": {"": 1}}).common == 0


@given(BODIES)
def test_an_equal_request_has_no_difference(body):
    found = report(body, body)
    assert (found.changed, found.added) == ("", "")


def test_a_request_that_grew_names_what_is_new():
    before = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    after = {"model": "m", "messages": [*before["messages"], {"role": "user", "content": "b"}]}
    found = report(before, after)
    assert (found.changed, found.added) == ("", "messages[1].role")
    assert found.common == len(dumps(before)) - len(b"}]}")


def test_a_changed_message_is_named():
    before = {"model": "m", "messages": [{"role": "system", "content": "10:00"}, {"role": "user", "content": "a"}]}
    after = {"model": "m", "messages": [{"role": "system", "content": "10:01"}, {"role": "user", "content": "a"}]}
    found = report(before, after)
    assert (found.changed, found.added) == ("messages[0].content", "")
    assert found.share < 1


def test_a_request_that_lost_its_end_has_changed():
    before = {"model": "m", "stop": "x"}
    assert report(before, {"model": "m"}).changed == "(the end is missing)"


def test_what_is_logged_is_understood_by_other_processes() -> None:
    body = {"messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": "hi"}]}
    digests = [part.digest for part in outline(body, lasting_digest).parts]
    assert digests == [5440832418325035508, -1243714688626219531, -3952148567425872630, 6294049527518886938]
