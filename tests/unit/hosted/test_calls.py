"""What holds for the calls of all hosted tools: limits, failures, and how clients and models see them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from mitmproxy import http

from responses_gateway.hosted.calls import RESULT_LIMIT, HostedCalls
from responses_gateway.hosted.interface import HostedError, ToolLimits
from responses_gateway.protocol.json import JsonObject
from responses_gateway.settings.settings import Settings
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import HostedCall, HostedFunction, HostedResult, Step
from responses_gateway.turn.exchange import Exchange
from responses_gateway.turn.served_turn import ServedTurn
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.learned_repairs import LearnedRepairs
from unit.exchanges import DONE, events, frame
from unit.machine import RUN, call, check, delta, output
from unit.world import open_exchange, runtime

type Work = Callable[[JsonObject], Awaitable[HostedResult]]


DECLARED = {"type": "mcp", "server_label": "dice"}


class DiceForm:
    """As mcp_call items, because made-up ones would not be valid."""

    type = "mcp_call"
    prefix = "mcp"
    arguments_event = "response.mcp_call_arguments"
    events: Mapping[Step, str] = MappingProxyType(
        {
            "opened": "response.mcp_call.in_progress",
            "completed": "response.mcp_call.completed",
            "failed": "response.mcp_call.failed",
        }
    )

    def fields(self, name: str, arguments: str, result: HostedResult | None) -> JsonObject:
        return {"server_label": "dice", "name": name, "arguments": arguments, "output": result and result.text}


class Dice:
    """A tool of its own: all that one has to say."""

    types = ("mcp",)
    begun = ()
    function = HostedFunction("roll", "Roll dice.", {"type": "object", "properties": {}}, DiceForm(), "dice")

    def __init__(self, work: Work, rounds: int = 5, seconds: float = 9) -> None:
        self._work = work
        self.limits = ToolLimits(rounds, seconds, "rolls", "rolling")

    def functions(self, declaration: JsonObject) -> list[HostedFunction]:
        return [self.function]

    def chosen(self, choice: JsonObject) -> list[tuple[str | None, str]]:
        return [("dice", "roll")]

    def recalled(self, name: str, arguments: JsonObject, text: str) -> HostedResult:
        return HostedResult(text)

    async def run(self, call: HostedCall) -> HostedResult:
        return await self._work(call.arguments)


def rolled(calls: HostedCalls, tool: Dice) -> HostedResult:
    calls.begin_round()
    return asyncio.run(calls.run(HostedCall(tool, tool.function, {})))


async def six(_: JsonObject) -> HostedResult:
    return HostedResult("6")


async def broken(_: JsonObject) -> HostedResult:
    raise HostedError("the die is lost")


async def stuck(_: JsonObject) -> HostedResult:
    await asyncio.Event().wait()
    return HostedResult("never")


async def endless(_: JsonObject) -> HostedResult:
    return HostedResult("6" * (RESULT_LIMIT + 1))


@pytest.mark.parametrize(
    ("work", "told", "noted"),
    [
        (broken, "roll failed: the die is lost. Go on without it", "dropped output.mcp_call: roll failed"),
        (stuck, "roll failed: no answer within 0.01 seconds", "dropped output.mcp_call: roll failed"),
        (endless, "[The result goes on", "capped output.mcp_call: a result is longer than"),
    ],
)
def test_what_fails_is_told_to_the_model_and_to_the_ledger(work: Work, told: str, noted: str) -> None:
    tool, ledger = Dice(work, seconds=0.01), Ledger()
    result = rolled(HostedCalls([tool], ledger), tool)
    assert told in result.text
    assert result.failed == (work is not endless)
    assert [noted in str(entry) for entry in ledger.entries] == [True]


def test_each_tool_has_its_rounds_and_all_share_the_calls() -> None:
    one, other = Dice(six, rounds=1), Dice(six, rounds=9)
    calls = HostedCalls([one, other], Ledger(), 3)
    texts = [rolled(calls, tool).text for tool in (one, one, other, other, other)]
    assert texts == ["6", limit := "The limit of rolls is reached. Answer with what you have.", "6", "6", limit]
    assert calls.excess is None
    rolled(calls, one)
    assert calls.excess == "went on rolling after 1 rounds of it"


def test_calls_of_a_round_are_carried_out_at_the_same_time() -> None:
    everybody = asyncio.Event()
    there = 0

    async def together(arguments: JsonObject) -> HostedResult:
        nonlocal there
        there += 1
        if there == 3:
            everybody.set()
        await everybody.wait()
        if arguments["number"] == 1:
            raise HostedError("the die is lost")
        return HostedResult(str(arguments["number"]))

    exchange = opened(Dice(together))
    rolls = [call(number, "dice__roll", f'{{"number": {number}}}', f"c{number}") for number in range(3)]
    seen = events(served(exchange, [*rolls, delta("tool_calls")], [delta("stop", content="Done.")]))
    check(seen)
    assert [item["status"] for item in output(seen)[:3]] == ["completed", "failed", "completed"]
    results = [one["content"] for one in exchange.upstream_request.body["messages"] if one["role"] == "tool"]
    assert results == ["0", "roll failed: the die is lost. Go on without it, or try something else.", "2"]


def most_at_once(calls: int, *, one_at_a_time: bool = False, limit: int | None = None) -> tuple[int, list[str]]:
    """How many of the calls of one round were under way at the same time, and what came of them."""
    under_way: list[int] = [0]
    most = 0

    async def counted(_: JsonObject) -> HostedResult:
        nonlocal most
        under_way[0] += 1
        most = max(most, under_way[0])
        for _ in range(3):
            await asyncio.sleep(0)
        under_way[0] -= 1
        return HostedResult("6")

    async def all_of_them() -> list[HostedResult]:
        tool = Dice(counted)
        function = replace(tool.function, one_at_a_time=one_at_a_time)
        hosted = HostedCalls([tool], Ledger(), limit)
        hosted.begin_round()
        return await asyncio.gather(*(hosted.run(HostedCall(tool, function, {})) for _ in range(calls)))

    texts = [result.text for result in asyncio.run(all_of_them())]
    return most, texts


def test_few_calls_are_under_way_at_once() -> None:
    most, texts = most_at_once(50)
    assert 1 < most < 20
    assert texts == ["6"] * 50


def test_calls_of_a_server_that_takes_one_at_a_time_wait_for_each_other() -> None:
    assert most_at_once(5, one_at_a_time=True) == (1, ["6"] * 5)


def test_calls_at_the_same_time_count_one_by_one() -> None:
    _, texts = most_at_once(5, limit=3)
    assert texts == ["6"] * 3 + ["The limit of rolls is reached. Answer with what you have."] * 2


def test_a_turn_that_is_cancelled_cancels_all_its_calls() -> None:
    begun, ended = [], []
    all_begun = asyncio.Event()

    async def stays(arguments: JsonObject) -> HostedResult:
        begun.append(arguments["number"])
        if len(begun) == 3:
            all_begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(arguments["number"])
        return HostedResult("never")

    async def cancelled(turn: ServedTurn) -> None:
        waiting = asyncio.create_task(turn.next_round())
        await all_begun.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    turn = turn_of(opened(Dice(stays)))
    assert turn.begin(200, http.Headers())
    rolls = [call(number, "dice__roll", f'{{"number": {number}}}', f"c{number}") for number in range(3)]
    sent = b"".join(turn.feed(frame(chunk)) for chunk in [*rolls, delta("tool_calls")]) + turn.feed(DONE)
    sent += turn.finish()
    asyncio.run(cancelled(turn))
    assert sorted(ended) == [0, 1, 2]
    seen = events(sent + turn.end() + turn.told())
    check(seen)
    assert [item["status"] for item in output(seen)] == ["incomplete"] * 3


def served(
    exchange: Exchange, *rounds: list[Any], run: Callable[[Coroutine[Any, Any, bool]], bool] = asyncio.run
) -> bytes:
    """What a client gets of a turn whose upstream answers so."""
    turn = turn_of(exchange)
    sent = b""
    for chunks in rounds:
        assert turn.begin(200, http.Headers())
        sent += b"".join(turn.feed(frame(chunk)) for chunk in chunks) + turn.feed(DONE) + turn.finish()
        again = run(turn.next_round())
        sent += turn.told()
    assert not again
    return sent


def turn_of(exchange: Exchange) -> ServedTurn:
    around = runtime(Settings.model_validate({"upstream": "http://127.0.0.1:1/v1", "store": "none"}))

    async def no_models(*_: object) -> None:
        return None

    return ServedTurn(
        exchange, {}, TurnServices(around.settings, around.router, LearnedRepairs(None, lambda: 1.0), no_models)
    )


def opened(tool: Dice, **fields: Any) -> Exchange:
    around = runtime(Settings.model_validate({"upstream": "http://127.0.0.1:1/v1", "store": "none"}))
    request = {"model": "m", "input": "hi", "stream": True, "tools": [DECLARED], **fields}
    return open_exchange(request, {}, around, HostedCalls([tool], Ledger()))


@pytest.mark.parametrize(("work", "end"), [(six, "completed"), (broken, "failed")])
def test_a_tool_owns_its_items_and_events(work: Work, end: str) -> None:
    exchange = opened(Dice(work))
    [offered] = exchange.upstream_request.body["tools"]
    assert offered["function"]["name"] == "dice__roll"
    first = [call(0, "dice__roll", '{"si', "c1"), call(0, arguments='des": 6}'), delta("tool_calls")]
    seen = events(served(exchange, first, [delta("stop", content="A six.")]))
    check(seen)
    assert [one["type"].removeprefix("response.") for one in seen if "mcp" in one["type"]] == [
        "mcp_call.in_progress",
        *["mcp_call_arguments.delta"] * 2,
        "mcp_call_arguments.done",
        f"mcp_call.{end}",
    ]
    item = output(seen)[0]
    assert (item["status"], item["arguments"]) == (end, '{"sides": 6}')
    [asked, result] = exchange.upstream_request.body["messages"][-2:]
    assert asked["tool_calls"][0]["function"] == {"name": "dice__roll", "arguments": '{"sides": 6}'}
    assert result["content"].startswith("6" if work is six else "roll failed")


def test_a_tool_can_be_required_and_is_then_free() -> None:
    exchange = opened(Dice(six), tool_choice=DECLARED)
    assert exchange.upstream_request.body["tool_choice"]["function"]["name"] == "dice__roll"
    served(exchange, [call(0, "dice__roll", "{}", "c1"), delta("tool_calls")], [delta("stop", content="A six.")])
    assert exchange.upstream_request.body["tool_choice"] == "auto"


def test_a_function_of_the_client_keeps_its_name() -> None:
    named = {**RUN, "name": "dice__roll"}
    exchange = opened(Dice(six), tools=[named, DECLARED])
    first, second = (tool["function"]["name"] for tool in exchange.upstream_request.body["tools"])
    assert first == "dice__roll"
    assert second.startswith("dice__roll_")
    seen = events(served(exchange, [call(0, "dice__roll", "{}", "c1"), delta("tool_calls")]))
    assert output(seen)[0]["type"] == "function_call"
