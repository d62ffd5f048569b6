"""The store behind its threads: it is opened once, keeps the order of changes, and nobody waits for ever."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.thread import _global_shutdown_lock  # type: ignore[attr-defined]
from contextlib import suppress

import pytest

from responses_gateway.settings.settings import Settings
from responses_gateway.state import storage as storage_module
from responses_gateway.state.packing import pack
from responses_gateway.state.recorder import Recorder
from responses_gateway.state.sqlite import SqliteStore
from responses_gateway.state.state import State
from responses_gateway.state.storage import Storage
from responses_gateway.state.store import Limits, NotStorable, Record, Store, StoreError
from responses_gateway.translate.ledger import Ledger

LIMITS = Limits(1000, 1 << 30, 1000.0)


def record(name: str, status: str = "completed") -> Record:
    return Record("me", {"id": name, "status": status, "output": []}, pack([]))


class Opening:
    """Opens a store in memory, when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.times = 0

    def __call__(self) -> Store:
        self.times += 1
        self.may.wait(60)
        return SqliteStore(None, LIMITS)


@pytest.fixture
def opening() -> Iterator[Opening]:
    made = Opening()
    yield made
    made.may.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "PATIENCE", 0.05)


def test_all_that_come_together_wait_for_one_opening(opening: Opening) -> None:
    storage = Storage(opening)

    async def come_together() -> list[object]:
        asked = [asyncio.create_task(storage.read(lambda store: store.get("me", "nobody"))) for _ in range(10)]
        await asyncio.sleep(0)
        opening.may.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(come_together()) == [None] * 10
    assert opening.times == 1


def test_changes_are_made_in_their_order(opening: Opening) -> None:
    storage = Storage(opening)
    done: list[int] = []
    handed_in = [storage.keep(lambda store, number=number: done.append(number)) for number in range(100)]  # type: ignore[misc]
    opening.may.set()
    for one in handed_in:
        one.result(20)
    assert done == list(range(100))


def test_a_change_waits_for_the_one_before_it_and_reads_do_not(opening: Opening) -> None:
    storage = Storage(opening)
    opening.may.set()
    begun, overtaken = threading.Event(), threading.Event()
    waited: list[bool] = []
    first = storage.keep(lambda store: (begun.set(), waited.append(overtaken.wait(0.3))))
    second = storage.keep(lambda store: overtaken.set())

    async def read_meanwhile() -> object:
        assert begun.wait(20)
        return await storage.read(lambda store: store.get("me", "a"))

    assert asyncio.run(read_meanwhile()) is None
    second.result(20)
    assert first.done()
    assert waited == [False]
    assert opening.times == 1


@pytest.mark.usefixtures("impatient")
def test_a_store_that_hangs_is_given_up(opening: Opening) -> None:
    storage = Storage(opening)

    async def ask() -> None:
        with pytest.raises(StoreError, match="did not answer within"):
            await storage.read(lambda store: store.get("me", "a"))
        with pytest.raises(StoreError, match="did not answer within"):
            await storage.write(lambda store: store.put(record("a")))
        await storage.close()
        with pytest.raises(StoreError, match="closed"):
            await storage.read(lambda store: store.get("me", "a"))

    asyncio.run(ask())


def test_what_waits_is_bounded(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "_MOST_WAITING", 3)
    storage = Storage(opening)
    handed_in = [storage.keep(lambda store: store.put(record("a"))) for _ in range(4)]
    assert str(handed_in[-1].exception(0)) == "3 changes wait for the store"
    assert not any(one.done() for one in handed_in[:3])
    opening.may.set()
    assert handed_in[2].exception(20) is None
    assert storage.keep(lambda store: store.put(record("b"))).exception(20) is None


def test_losses_are_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage(lambda: SqliteStore(None, LIMITS))

    def fail(store: Store) -> None:
        raise StoreError("the disk is full")

    for _ in range(3):
        assert isinstance(storage.keep(fail).exception(20), StoreError)
    for name in "ab":
        storage.keep(lambda store, name=name: store.put(record(name))).result(20)  # type: ignore[misc]
    assert isinstance(storage.keep(fail).exception(20), StoreError)
    storage.keep(lambda store: store.put(record("c"))).result(20)
    assert [message for message in caplog.messages if "stored" in message] == [
        "Responses cannot be stored at the moment: the disk is full",
        "Responses are stored again. 3 could not be stored.",
        "Responses cannot be stored at the moment: the disk is full",
        "Responses are stored again. 1 could not be stored.",
    ]


def test_what_no_store_takes_is_no_loss(caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage(lambda: SqliteStore(None, Limits(1000, 10, 1000.0)))
    refused = storage.keep(lambda store: store.put(record("a")))
    assert isinstance(refused.exception(20), NotStorable)
    assert caplog.messages == []


@pytest.mark.usefixtures("impatient")
def test_a_change_that_waits_too_long_is_a_loss_and_is_not_made(
    opening: Opening, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Storage(opening)
    done: list[str] = []
    storage.keep(lambda store: done.append("first"))
    waiting = storage.keep(lambda store: done.append("second"))

    async def wait() -> None:
        with pytest.raises(StoreError, match=r"did not answer within 0\.05 s"):
            await storage.kept(waiting)

    asyncio.run(wait())
    assert waiting.cancelled()
    assert caplog.messages == ["Responses cannot be stored at the moment: the store did not answer within 0.05 s"]
    opening.may.set()
    storage.keep(lambda store: done.append("third")).result(20)
    assert done == ["first", "third"]
    assert caplog.messages[1:] == ["Responses are stored again. 1 could not be stored."]


def test_a_change_that_fails_is_told_to_who_waits(caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage(lambda: SqliteStore(None, LIMITS))

    def fail(store: Store) -> None:
        raise StoreError("the disk is full")

    async def write() -> None:
        with pytest.raises(StoreError, match="the disk is full"):
            await storage.kept(storage.keep(fail))
        with pytest.raises(StoreError, match="the disk is full"):
            await storage.write(fail)
        assert await storage.write(lambda store: store.delete("me", "nobody")) is False
        await storage.kept(storage.keep(lambda store: store.put(record("a"))))
        assert await storage.read(lambda store: store.get("me", "a")) is not None

    asyncio.run(write())
    # What is written without `keep` is no response, and told to who asked for it alone.
    assert len([message for message in caplog.messages if "cannot be stored" in message]) == 1


def test_closing_comes_behind_what_was_handed_in(opening: Opening) -> None:
    storage = Storage(opening)
    closed = threading.Event()
    done: list[bool] = []
    storage.keep(lambda store: _close_notes(store, closed))
    handed_in = [storage.keep(lambda store: done.append(closed.is_set())) for _ in range(3)]

    async def close() -> None:
        opening.may.set()
        await storage.close()
        assert [one.done() for one in handed_in] == [True] * 3
        for ask in (storage.read, storage.write):
            with pytest.raises(StoreError, match="the store is closed"):
                await ask(lambda store: store.get("me", "a"))
        await storage.close()

    asyncio.run(close())
    assert closed.is_set()
    assert done == [False] * 3
    assert opening.times == 1


def test_a_store_that_nobody_needed_is_not_opened_to_be_closed(opening: Opening) -> None:
    asyncio.run(Storage(opening).close())
    assert opening.times == 0


def test_an_opening_that_fails_is_tried_again() -> None:
    times: list[int] = []

    def open_store() -> Store:
        times.append(1)
        if len(times) == 1:
            raise StoreError("not yet")
        return SqliteStore(None, LIMITS)

    storage = Storage(open_store)

    async def ask() -> None:
        with pytest.raises(StoreError, match="not yet"):
            await storage.read(lambda store: store.get("me", "a"))
        for _ in range(2):
            assert await storage.read(lambda store: store.get("me", "a")) is None
        await storage.close()

    asyncio.run(ask())
    assert len(times) == 2


def test_what_nobody_knows_any_more_is_closed_behind_what_waits(opening: Opening) -> None:
    storage = Storage(opening)
    handed_in = storage.keep(lambda store: store.put(record("a")))
    closed = threading.Event()
    storage.keep(lambda store: _close_notes(store, closed))
    del storage
    gc.collect()
    opening.may.set()
    assert handed_in.exception(20) is None
    assert closed.wait(60)


def _close_notes(store: Store, closed: threading.Event) -> None:
    close = store.close

    def closing() -> None:
        close()
        closed.set()

    store.close = closing  # type: ignore[method-assign]


def test_a_store_that_the_garbage_collector_finds_within_an_executor_stops_nobody(opening: Opening) -> None:
    opening.may.set()

    def collect_while_submitting() -> None:
        storage = Storage(opening)
        asyncio.run(storage.read(lambda store: store.get("me", "r")))
        circle: list[object] = [storage]
        circle.append(circle)
        del storage, circle
        # `submit` holds it while it makes objects, and so may have garbage collected.
        with _global_shutdown_lock:
            gc.collect()

    thread = threading.Thread(target=collect_while_submitting, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_an_answer_is_stored_before_its_end_is_known() -> None:
    state = State(Settings(store="memory"))
    told: list[str] = []
    recorder = Recorder(
        state,
        "me",
        Ledger(),
        state.storage,
        input=pack([]),
        follow=lambda events: told.extend(e["type"] for e in events),
    )
    created = {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}
    completed = {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}}

    async def answer() -> object:
        assert state.storage is not None
        recorder.take([created], b"")
        assert told == ["response.created"]
        recorder.take([completed], b"")
        assert recorder.is_storing
        assert told == ["response.created"]
        await recorder.stored()
        assert told == ["response.created", "response.completed"]
        return await state.storage.read(lambda store: store.get("me", "r"))

    assert asyncio.run(answer()) is not None
    assert recorder.ledger.entries == []


def test_an_answer_that_cannot_be_stored_is_on_the_ledger() -> None:
    state = State(Settings(store="memory", store_max_bytes=1))
    recorder = Recorder(state, "me", Ledger(), state.storage, input=pack([]))
    recorder.take([{"type": "response.completed", "response": record("r").response}], b"")
    asyncio.run(recorder.stored())
    [entry] = recorder.ledger.entries
    assert (entry.action, entry.field) == ("dropped", "store")


def test_without_a_store_nothing_is_opened() -> None:
    state = State(Settings(store="none"))
    recorder = Recorder(state, "me", Ledger())
    recorder.take([{"type": "response.completed", "response": record("r").response}], b"")
    assert not recorder.is_storing
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, recorder.stored()).result(20)


def test_who_leaves_does_not_take_back_what_was_handed_in(opening: Opening) -> None:
    storage = Storage(opening)
    handed_in = storage.keep(lambda store: store.put(record("a")))
    waiting = storage.keep(lambda store: store.put(record("b")))

    async def leave() -> None:
        task = asyncio.create_task(storage.kept(waiting))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        opening.may.set()
        assert await storage.read(lambda store: (handed_in.result(20), waiting.result(20), store.get("me", "b")))

    asyncio.run(leave())


def test_a_fault_of_our_own_is_on_the_ledger_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(store: SqliteStore, record: Record) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr(SqliteStore, "put", fail)
    state = State(Settings(store="memory"))
    recorder = Recorder(state, "me", Ledger(), state.storage, pack([]))
    recorder.take([{"type": "response.completed", "response": record("r").response}], b"")
    asyncio.run(recorder.stored())
    assert not recorder.is_storing
    assert [entry.field for entry in recorder.ledger.entries] == ["store"]
