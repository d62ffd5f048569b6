"""The tree of threads, and the picture of it."""

from responses_gateway.inspection.archive.rows import Span, Turn
from responses_gateway.inspection.pages.axis import Axis
from responses_gateway.inspection.pages.threads import threads_of, turns_in_order
from responses_gateway.inspection.pages.waterfall import ROW, lanes_of
from unit.inspection.pages.rows import NOON, turn


def session() -> list[Turn]:
    agent = {"thread": "agent", "parent": "main", "agent": "collab_spawn", "title": ""}
    return [
        turn(0, thread="title", kind="title"),
        turn(1),
        turn(3, **agent),
        turn(8, **agent),
        turn(9, **{**agent, "thread": "below", "parent": "agent"}),
        turn(20, title=""),
    ]


def test_sub_agents_are_below_the_turn_that_made_them() -> None:
    threads = threads_of(session())
    assert [(thread.id, thread.depth, thread.label) for thread in threads] == [
        ("main", 0, "main"),
        ("agent", 1, "collab_spawn"),
        ("below", 2, "collab_spawn"),
        ("title", 0, "title"),
    ]
    assert [one.origin and one.origin.id for one in threads] == [None, "turn-1", "turn-8", None]
    assert [one.id for _, one in turns_in_order(threads)] == [f"turn-{at}" for at in (1, 3, 8, 9, 20, 0)]


def test_a_parent_may_go_on_before_its_agent_begins() -> None:
    spawning = [Span("function_call", "multi_agent_v1.spawn_agent", 1000, 2000)]
    turns = [
        turn(1),
        turn(2, spans=spawning),
        turn(7),
        turn(8, thread="agent", parent="main", agent="collab_spawn"),
        turn(9, thread="reviewer", parent="main", agent="review"),
    ]
    threads = threads_of(turns)
    assert [one.origin and one.origin.id for one in threads] == [None, "turn-2", "turn-7"]


def test_clients_may_say_anything_of_who_made_whom() -> None:
    turns = [turn(0, thread="a", parent="b"), turn(1, thread="b", parent="a"), turn(2, thread="c", parent="c")]
    threads = threads_of(turns)
    assert sorted(one.id for one in threads) == ["a", "b", "c"]
    assert len(list(turns_in_order(threads))) == 3


def test_lanes_hold_a_bar_for_each_turn() -> None:
    turns = session()
    threads = threads_of(turns)
    axis = Axis((one.opened, one.opened + 4) for one in turns)
    lanes = lanes_of(threads, axis, NOON)
    assert [(lane.thread.id, lane.y, len(lane.bars)) for lane in lanes] == [
        ("main", 0, 2),
        ("agent", ROW, 2),
        ("below", 2 * ROW, 1),
        ("title", 3 * ROW, 1),
    ]
    link = lanes[1].link
    assert link is not None
    assert link.top < link.bottom
    [tools] = lanes[0].tools
    assert tools.milliseconds == 15_000
    assert all(bar.x >= 0 and bar.x + bar.width <= 100.001 for lane in lanes for bar in lane.bars)


def test_turns_of_one_thread_that_run_beside_each_other_have_rows() -> None:
    turns = [turn(0), turn(1), turn(2), turn(5)]
    [lane] = lanes_of(threads_of(turns), Axis((one.opened, one.opened + 4) for one in turns), NOON)
    assert lane.height == 3 * ROW
    assert [bar.y // ROW for bar in lane.bars] == [0, 1, 2, 0]
    many = [turn(at / 100) for at in range(50)]
    [lane] = lanes_of(threads_of(many), Axis((one.opened, one.opened + 4) for one in many), NOON)
    assert lane.height == 8 * ROW
