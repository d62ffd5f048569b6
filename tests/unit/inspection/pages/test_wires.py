"""What differs between two requests, and when both streams passed."""

from responses_gateway.inspection.pages.streams import streams_of
from responses_gateway.inspection.pages.wires import Row, rounds_of, rows_of
from unit.inspection.pages.whole_turns import record
from unit.inspection.turns import chunk


def rows() -> dict[str, Row]:
    body = {
        "instructions": "Be brief.",
        "input": "Hi",
        "metadata": {"a": "b"},
        "max_output_tokens": 100,
        "temperature": 0.5,
        "store": False,
    }
    return {row.client or row.upstream: row for row in rows_of(record(body, chunk(content="Hello")))}


def test_what_became_of_each_field() -> None:
    found = rows()
    assert (found["temperature"].state, found["temperature"].upstream) == ("same", "temperature")
    assert (found["instructions"].state, found["instructions"].upstream) == ("moved", "messages")
    assert found["max_output_tokens"].sent == "100"
    assert found["store"].state == "own"
    assert found["metadata"].state == "dropped"
    assert [change.action for change in found["metadata"].changes] == ["dropped"]


def test_what_differs_comes_first() -> None:
    names = list(rows())
    assert names.index("metadata") < names.index("instructions") < names.index("temperature")


def test_both_streams_in_the_order_of_time() -> None:
    turn = record({"input": "Hi"}, chunk(content="Hel"), chunk(content="lo"))
    streams = streams_of(turn, 400)
    assert [lane.name for lane in streams.lanes] == ["upstream", "to the client"]
    assert all(lane.columns for lane in streams.lanes)
    assert [line.at for line in streams.lines] == sorted(line.at for line in streams.lines)
    assert any("Hello" in line.upstream for line in streams.lines)
    assert any("response.completed" in line.client for line in streams.lines)
    assert [one.number for one in rounds_of(turn)] == [1]
