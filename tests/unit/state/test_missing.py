"""What is not there, or not there any more: each store says so, for each thing, and changes nothing."""

import pytest

from responses_gateway.state.packing import EventLog, events_in, unpack
from responses_gateway.state.store import Limits, Store
from unit.state.records import Clock, OpenStore, ids, item, record


def events_of(*numbers: int) -> bytes:
    log = EventLog()
    for number in numbers:
        log.add(b'event: x\ndata: {"sequence_number":%d}\n\n' % number)
    return log.close()


@pytest.mark.parametrize("owner", ["me", "you"])
def test_nothing_is_found_of_what_was_never_there(store: Store, owner: str) -> None:
    store.put(record("a", owner="somebody"))
    assert store.get(owner, "a") is None
    assert store.history(owner, "a") is None
    assert store.items(owner, ["in_a", "out_a"]) == {}
    assert store.delete(owner, "a") is False
    assert store.renew(owner, "a", 9e9) is False
    assert store.add_events(owner, "a", events_of(1)) is False
    assert store.live_events(owner, "a", 0) is None
    assert store.find_replay(owner, "a") is None
    assert store.get_conversation(owner, "c") is None
    assert store.delete_conversation(owner, "c") is False
    assert store.conversation_items(owner, "c") == []
    assert store.append_items(owner, "c", [item("x")]) is False
    assert store.delete_item(owner, "c", "x") is False
    assert store.get("somebody", "a") is not None


def test_a_response_is_deleted_once(store: Store) -> None:
    store.put(record("a"))
    assert store.delete("me", "a") is True
    assert store.delete("me", "a") is False
    assert store.get("me", "a") is None
    assert store.history("me", "a") is None
    assert store.items("me", ["in_a"]) == {}


def test_a_conversation_goes_with_its_items(store: Store) -> None:
    store.put_conversation("me", {"id": "c"})
    assert store.append_items("me", "c", [item("x"), item("y")]) is True
    assert store.delete_conversation("you", "c") is False
    assert store.delete_conversation("me", "c") is True
    assert store.delete_conversation("me", "c") is False
    assert store.get_conversation("me", "c") is None
    assert store.conversation_items("me", "c") == []
    assert store.items("me", ["x"]) == {}
    assert store.append_items("me", "c", [item("z")]) is False


def test_an_item_of_a_conversation_is_deleted_once(store: Store) -> None:
    store.put_conversation("me", {"id": "c"})
    store.append_items("me", "c", [item("x"), item("y"), item("z")])
    assert store.delete_item("me", "c", "nothing") is False
    assert store.delete_item("you", "c", "y") is False
    assert store.delete_item("me", "c", "y") is True
    assert store.delete_item("me", "c", "y") is False
    assert ids(store.conversation_items("me", "c")) == ["x", "z"]
    store.append_items("me", "c", [item("w")])
    assert ids(store.conversation_items("me", "c")) == ["x", "z", "w"]


def test_the_metadata_of_a_conversation_are_replaced_and_its_items_stay(store: Store) -> None:
    store.put_conversation("me", {"id": "c", "metadata": {"a": "1"}})
    store.append_items("me", "c", [item("x")])
    store.put_conversation("me", {"id": "c", "metadata": {}})
    assert store.get_conversation("me", "c") == {"id": "c", "metadata": {}}
    assert ids(store.conversation_items("me", "c")) == ["x"]


def test_only_what_runs_has_a_lease_to_renew(store: Store, clock: Clock) -> None:
    running = record("a", status="in_progress", lease=clock.now + 50)
    store.put(running)
    assert store.renew("you", "a", clock.now + 60) is False
    assert store.renew("me", "a", clock.now + 60) is True
    found = store.get("me", "a")
    assert found is not None
    assert found.lease == pytest.approx(clock.now + 60, abs=1)
    assert not found.final
    store.put(record("a"))
    assert store.renew("me", "a", clock.now + 60) is False
    after = store.get("me", "a")
    assert after is not None
    assert after.final


def test_what_is_final_stays_as_it_is(store: Store, clock: Clock) -> None:
    store.put(record("a", status="cancelled"))
    store.put(record("a", status="completed"))
    found = store.get("me", "a")
    assert found is not None
    assert found.response["status"] == "cancelled"


def test_events_are_counted_piece_by_piece(store: Store, clock: Clock) -> None:
    store.put(record("a", status="in_progress", lease=clock.now + 50))
    assert store.live_events("me", "a", 0) == []
    for number in range(3):
        assert store.add_events("me", "a", events_of(number)) is True
    for skipped in range(4):
        pieces = store.live_events("me", "a", skipped)
        assert pieces is not None
        numbers = [event["sequence_number"] for piece in pieces for event in events_in(piece)]
        assert numbers == list(range(skipped, 3))
    assert store.live_events("you", "a", 0) is None
    store.put(record("a"))
    assert store.live_events("me", "a", 0) is None
    assert store.add_events("me", "a", events_of(3)) is False


def test_a_record_comes_back_whole(store: Store) -> None:
    store.put(record("a", events=events_of(1, 2), replay_key="k"))
    found = store.get("me", "a")
    assert found is not None
    assert (found.owner, found.id, found.final, found.lease) == ("me", "a", True, None)
    assert ids(unpack(found.input)) == ["in_a"]
    assert [event["sequence_number"] for event in events_in(found.events)] == [1, 2]
    again = store.find_replay("me", "k")
    assert again is not None
    assert again.id == "a"
    assert store.find_replay("you", "k") is None
    store.delete("me", "a")
    assert store.find_replay("me", "k") is None


def test_history_without_the_output_is_there_for_what_runs(store: Store, clock: Clock) -> None:
    store.put(record("a"))
    store.put(record("b", "a", status="in_progress", lease=clock.now + 50))
    assert store.history("me", "b") is None
    assert ids(store.history("me", "b", output=False)) == ["in_a", "out_a", "in_b"]
    assert ids(store.history("me", "a", output=False)) == ["in_a"]


def test_one_response_too_many(open_store: OpenStore) -> None:
    store = open_store(Limits(2, 1 << 30, 1000.0))
    for name in ("a", "b", "c"):
        store.put(record(name))
    assert [store.get("me", name) is not None for name in ("a", "b", "c")] == [False, True, True]
