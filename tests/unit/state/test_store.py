"""What all stores have in common."""

import re
import threading
import time

import pytest

from responses_gateway.protocol import sse
from responses_gateway.state.packing import EventLog, events_in, unpack
from responses_gateway.state.store import Limits, NotStorable, Store, StoreError
from unit.state.records import Clock, OpenStore, ids, item, record, whole_of


def test_looking_for_items_takes_time_in_proportion_to_their_number(store: Store) -> None:
    def seconds(count: int) -> float:
        begun = time.process_time()
        assert store.items("me", [f"msg_{number}" for number in range(count)]) == {}
        return time.process_time() - begun

    seconds(1000)
    assert seconds(8000) < 24 * seconds(1000)


def test_what_is_put_can_be_got(store: Store) -> None:
    log = EventLog()
    log.add(sse.encode({"type": "response.created", "sequence_number": 0}))
    log.add(sse.encode({"type": "response.completed", "sequence_number": 1}))
    store.put(record("a", events=log.close()))
    found = store.get("me", "a")
    assert found is not None
    assert found.response == record("a").response
    assert unpack(found.input) == [item("in_a")]
    assert [event["sequence_number"] for event in events_in(found.events)] == [0, 1]
    assert store.get("me", "b") is None


def test_nothing_is_shown_to_another_owner(store: Store) -> None:
    store.put(record("a", replay_key="k"))
    assert store.get("you", "a") is None
    assert store.history("you", "a") is None
    assert store.items("you", ["in_a", "out_a"]) == {}
    assert store.find_replay("you", "k") is None
    assert not store.delete("you", "a")
    assert store.get("me", "a") is not None


def test_chains_and_branches(store: Store) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    store.put(record("c", "b"))
    store.put(record("d", "a"))
    assert ids(store.history("me", "c")) == ["in_a", "out_a", "in_b", "out_b", "in_c", "out_c"]
    assert ids(store.history("me", "d")) == ["in_a", "out_a", "in_d", "out_d"]


def test_history_leaves_out_calls_that_were_cut_off(store: Store) -> None:
    cut = record("a")
    cut.response["output"].append({"id": "fc", "type": "function_call", "status": "incomplete"})
    store.put(cut)
    assert ids(store.history("me", "a")) == ["in_a", "out_a"]


def test_a_deleted_response_stays_in_the_history_of_younger_ones(store: Store) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    assert store.delete("me", "a")
    assert not store.delete("me", "a")
    assert store.get("me", "a") is None
    assert store.history("me", "a") is None
    assert ids(store.history("me", "b")) == ["in_a", "out_a", "in_b", "out_b"]
    assert store.delete("me", "b")
    store.put(record("z"))
    assert store.items("me", ["in_a"]) == {}


def test_a_response_that_runs_cannot_be_continued(store: Store) -> None:
    store.put(record("a", status="queued", lease=5.0))
    assert store.history("me", "a") is None
    assert store.renew("me", "a", 9.0)
    found = store.get("me", "a")
    assert found is not None
    assert found.lease == 9.0
    store.put(record("a", status="cancelled"))
    assert not store.renew("me", "a", 10.0)
    store.put(record("a", status="completed"))
    found = store.get("me", "a")
    assert found is not None
    assert found.response["status"] == "cancelled"


def test_a_response_outlives_the_deletion_of_what_it_continues_while_it_runs(store: Store) -> None:
    store.put(record("a"))
    assert store.delete("me", "a")
    store.put(record("b", "a", whole=whole_of("in_a", "out_a", "in_b")))
    store.put(record("c", "b"))
    assert ids(store.history("me", "c")) == ["in_a", "out_a", "in_b", "out_b", "in_c", "out_c"]
    assert ids(store.history("me", "b", output=False)) == ["in_a", "out_a", "in_b"]
    assert store.items("me", ["in_a"]) == {"in_a": item("in_a")}


def test_a_response_that_runs_in_the_background_outlives_it_too(store: Store) -> None:
    store.put(record("a"))
    store.delete("me", "a")
    store.put(record("b", "a", status="queued", lease=time.time() + 500, whole=whole_of("in_a", "out_a", "in_b")))
    store.put(record("b", "a", status="in_progress", lease=time.time() + 500))
    store.put(record("b", "a"))
    assert ids(store.history("me", "b")) == ["in_a", "out_a", "in_b", "out_b"]
    assert store.delete("me", "b")
    store.put(record("z"))
    assert store.items("me", ["in_a"]) == {}


def test_events_of_a_response_that_runs(store: Store, clock: Clock) -> None:
    assert not store.add_events("me", "a", b"0")
    assert store.live_events("me", "a", 0) is None
    store.put(record("a", status="queued", lease=clock.now + 500))
    assert store.live_events("me", "a", 0) == []
    for piece in (b"0", b"1"):
        assert store.add_events("me", "a", piece)
    store.put(record("a", status="in_progress", lease=clock.now + 500))
    assert store.add_events("me", "a", b"2")
    assert not store.add_events("you", "a", b"x")
    assert store.live_events("me", "a", 0) == [b"0", b"1", b"2"]
    assert store.live_events("me", "a", 2) == [b"2"]
    assert store.live_events("you", "a", 0) is None
    store.put(record("a"))
    assert store.live_events("me", "a", 0) is None
    assert not store.add_events("me", "a", b"3")


def test_events_of_a_response_whose_runner_died(store: Store, clock: Clock) -> None:
    store.put(record("a", status="queued", lease=clock.now + 500))
    clock.now += 501
    assert store.live_events("me", "a", 0) is None


def test_the_least_recently_used_go_first(open_store: OpenStore) -> None:
    store = open_store(Limits(3, 1 << 30, 1000.0))
    for name in "abc":
        store.put(record(name))
    store.get("me", "a")
    store.put(record("d"))
    assert [name for name in "abcd" if store.get("me", name)] == ["a", "c", "d"]


def test_bytes_are_bounded(open_store: OpenStore) -> None:
    store = open_store(Limits(1000, 4000, 1000.0))
    for number in range(40):
        store.put(record(str(number)))
    alive = [number for number in range(40) if store.get("me", str(number))]
    assert alive == list(range(alive[0], 40))
    assert 5 < len(alive) < 30
    with pytest.raises(StoreError, match="more than the store may hold"):
        store.put(record("big", events=bytes(5000)))


@pytest.mark.parametrize("open_store", ["memory", "redis"], indirect=True)
def test_what_just_fits_is_kept(open_store: OpenStore) -> None:
    with pytest.raises(NotStorable, match=r"the response has (\d+) bytes: more than the store may hold") as raised:
        open_store(Limits(1000, 1, 1000.0)).put(record("a"))
    size = int(re.findall(r"\d+", str(raised.value))[0])
    with pytest.raises(NotStorable):
        open_store(Limits(1000, size - 1, 1000.0)).put(record("a"))
    for limit, kept in ((size, "b"), (2 * size - 1, "b"), (2 * size, "ab")):
        store = open_store(Limits(1000, limit, 1000.0))
        for name in "ab":
            store.put(record(name))
        assert [name for name in "ab" if store.get("me", name)] == list(kept)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_so_many_responses_are_kept_and_no_more(open_store: OpenStore, count: int) -> None:
    store = open_store(Limits(count, 1 << 30, 1000.0))
    for number in range(count + 1):
        assert [name for name in map(str, range(count)) if store.get("me", name)] == [*map(str, range(number))]
        store.put(record(str(number)))
    assert [name for name in map(str, range(count + 1)) if store.get("me", name)] == [*map(str, range(1, count + 1))]


def test_a_response_that_runs_is_followed_until_its_lease_ends(store: Store, clock: Clock) -> None:
    store.put(record("a", status="in_progress", lease=clock.now + 10))
    assert store.live_events("me", "a", 0) == []
    clock.now += 9
    assert store.live_events("me", "a", 0) == []
    clock.now += 1
    assert store.live_events("me", "a", 0) is None
    assert store.renew("me", "a", clock.now + 10)
    assert store.live_events("me", "a", 0) == []
    store.put(record("b", status="in_progress"))
    assert store.live_events("me", "b", 0) is None


def test_a_response_is_changed_until_it_is_final(store: Store, clock: Clock) -> None:
    store.put(record("a", status="queued", lease=clock.now + 10))
    store.put(record("a", status="in_progress", lease=clock.now + 20, replay_key="k", events=b""))
    found = store.get("me", "a")
    assert found is not None
    assert (found.response["status"], found.final, found.replay_key) == ("in_progress", False, "k")
    assert found.lease == pytest.approx(clock.now + 20, abs=1)
    done = record("a")
    done.response["output"].append(item("more"))
    store.put(done)
    found = store.get("me", "a")
    assert found is not None
    assert (found.response, found.final, found.lease, found.replay_key) == (done.response, True, None, None)
    assert store.items("me", ["more"]) == {"more": item("more")}
    assert unpack(found.input) == [item("in_a")]


def test_a_reference_finds_the_item_of_its_owner(store: Store) -> None:
    store.put(record("a"))
    store.put(record("x", owner="you"))
    store.put_conversation("you", {"id": "conv"})
    store.append_items("you", "conv", [item("said")])
    assert store.items("me", ["in_a", "in_x", "said"]) == {"in_a": item("in_a")}
    assert store.items("you", ["in_a", "in_x", "said"]) == {"in_x": item("in_x"), "said": item("said")}
    assert store.delete_item("you", "conv", "said")
    assert store.items("you", ["said"]) == {}


@pytest.mark.parametrize("open_store", ["file", "memory"], indirect=True)
def test_age_is_bounded(store: Store, clock: Clock) -> None:
    store.put(record("a"))
    clock.now += 999
    assert store.get("me", "a")
    clock.now += 2
    assert store.get("me", "a") is None
    assert store.history("me", "a") is None


def test_items_by_id(store: Store) -> None:
    store.put(record("a"))
    store.put(record("b", "a"))
    store.put_conversation("me", {"id": "conv"})
    store.append_items("me", "conv", [item("own")])
    assert store.items("me", ["out_a", "in_b", "own", "nobody"]) == {
        "out_a": item("out_a", role="assistant"),
        "in_b": item("in_b"),
        "own": item("own"),
    }


def test_replays_are_found_by_their_key(store: Store) -> None:
    store.put(record("a", replay_key="k"))
    store.put(record("b", replay_key="k"))
    found = store.find_replay("me", "k")
    assert found is not None
    assert found.id == "b"


def test_conversations(store: Store) -> None:
    store.put_conversation("me", {"id": "conv", "metadata": {}})
    assert store.append_items("me", "conv", [item("1"), item("2")])
    assert store.append_items("me", "conv", [item("3"), item("2", "again")])
    assert not store.append_items("you", "conv", [item("4")])
    assert store.conversation_items("me", "conv") == [item("1"), item("2"), item("3")]
    assert store.conversation_items("you", "conv") == []
    assert not store.delete_item("you", "conv", "2")
    assert store.delete_item("me", "conv", "2")
    assert ids(store.conversation_items("me", "conv")) == ["1", "3"]
    store.put_conversation("me", {"id": "conv", "metadata": {"a": "b"}})
    assert store.get_conversation("me", "conv") == {"id": "conv", "metadata": {"a": "b"}}
    assert store.get_conversation("you", "conv") is None
    assert not store.delete_conversation("you", "conv")
    assert store.delete_conversation("me", "conv")
    assert store.conversation_items("me", "conv") == []


@pytest.mark.parametrize("open_store", ["file", "memory"], indirect=True)
def test_the_age_of_conversations_is_bounded(store: Store, clock: Clock) -> None:
    store.put_conversation("me", {"id": "old", "metadata": {}})
    clock.now += 999
    assert store.get_conversation("me", "old")
    clock.now += 1001
    assert store.get_conversation("me", "old") is None


def test_threads(store: Store) -> None:
    faults: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            previous = None
            for number in range(30):
                store.put(record(f"{worker}-{number}", previous))
                previous = f"{worker}-{number}"
                assert len(store.history("me", previous) or ()) == 2 * (number + 1)
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_notes_are_their_owners(store: Store) -> None:
    store.put_note("me", "resp_1", "openai")
    store.put_note("me", "resp_1", "azure")
    assert (store.note("me", "resp_1"), store.note("you", "resp_1"), store.note("me", "resp_2")) == (
        "azure",
        None,
        None,
    )
    assert store.is_anothers("you", "resp_1")
    assert not store.is_anothers("me", "resp_1")
    assert not store.is_anothers("you", "resp_2")
    store.put_note("you", "resp_1", "openai")
    assert not store.is_anothers("you", "resp_1")
    assert store.note("me", "resp_1") == "azure"


def test_the_oldest_notes_go_first(open_store: OpenStore) -> None:
    store = open_store(Limits(3, 1 << 30, 1000.0))
    for number in range(3):
        store.put_note("me", f"resp_{number}", "openai")
    store.put_note("me", "resp_0", "azure")
    store.put_note("me", "resp_3", "openai")
    found = [store.note("me", f"resp_{number}") for number in range(4)]
    assert found == ["azure", None, "openai", "openai"]
