"""The calls of hosted tools in one response: what holds for all tools alike."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import Protocol

from responses_gateway.hosted.interface import HostedError, RunnableTool
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import BegunItem, HostedCall, HostedResult, HostedTool

_EXTRA_ROUNDS = 1
"""Rounds in which a model may answer after it was told not to call any more."""

_AT_ONCE = 8
"""Calls of one response that are carried out at the same time."""

RESULT_LIMIT = 200_000
"""The most characters of one result that a model gets to read; tools have lower limits of their own."""


class Calls(Protocol):
    """Carries out the hosted calls of one response."""

    @property
    def tools(self) -> Sequence[HostedTool]:
        """The tools that can be called."""

    @property
    def begun(self) -> Sequence[BegunItem]:
        """The output items that are complete before the model is asked."""

    @property
    def excess(self) -> str | None:
        """What the model did, if it goes on calling although it was told to answer."""

    def begin_round(self) -> None:
        """The calls of another upstream round follow."""

    async def run(self, call: HostedCall) -> HostedResult:
        """Carry out one call, beside others. What fails is told to the model and to the Ledger."""


class HostedCalls:
    """`Calls` with limits: rounds for each tool, `max_tool_calls` for all together, time and size for each call."""

    def __init__(self, tools: Sequence[RunnableTool], ledger: Ledger, max_calls: int | None = None) -> None:
        self._used = [_Used(tool) for tool in tools]
        self._ledger = ledger
        self._calls_left = max_calls
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._queues: defaultdict[tuple[RunnableTool, str | None], asyncio.Lock] = defaultdict(asyncio.Lock)
        """Where calls wait that are carried out one at a time."""

    @property
    def tools(self) -> Sequence[HostedTool]:
        return [used.tool for used in self._used]

    @property
    def begun(self) -> Sequence[BegunItem]:
        return [item for used in self._used for item in used.tool.begun]

    @property
    def excess(self) -> str | None:
        for used in self._used:
            limits = used.tool.limits
            if used.rounds > limits.rounds + _EXTRA_ROUNDS:
                return f"went on {limits.calling} after {limits.rounds} rounds of it"
        return None

    def begin_round(self) -> None:
        for used in self._used:
            used.this_round = False

    async def run(self, call: HostedCall) -> HostedResult:
        used = next(used for used in self._used if used.tool is call.tool)
        limits, field = used.tool.limits, f"output.{call.function.form.type}"
        used.count_round()
        if used.rounds > limits.rounds or self._calls_left == 0:
            self._ledger.add("capped", field, f"the limit of {limits.calls} is reached; the model was told to answer")
            return HostedResult(f"The limit of {limits.calls} is reached. Answer with what you have.", failed=True)
        if self._calls_left is not None:
            self._calls_left -= 1
        try:
            async with self._queue(used.tool, call), self._room, asyncio.timeout(limits.seconds):
                result = await used.tool.run(call)
        except HostedError as error:
            fault = str(error)
        except TimeoutError as error:
            fault = str(error) or f"no answer within {limits.seconds:g} seconds"
        else:
            return self._fitted(result, field)
        self._ledger.add("dropped", field, f"{call.name} failed: {fault}")
        return HostedResult(f"{call.name} failed: {fault}. Go on without it, or try something else.", failed=True)

    def _queue(self, tool: RunnableTool, call: HostedCall) -> AbstractAsyncContextManager[object]:
        function = call.function
        return self._queues[tool, function.namespace] if function.one_at_a_time else nullcontext()

    def _fitted(self, result: HostedResult, field: str) -> HostedResult:
        if len(result.text) <= RESULT_LIMIT:
            return result
        self._ledger.add("capped", field, f"a result is longer than {RESULT_LIMIT} characters")
        text = f"{result.text[:RESULT_LIMIT]}\n[The result goes on, but only this much of it can be read.]"
        return replace(result, text=text)


class _Used:
    """How often a tool was used."""

    def __init__(self, tool: RunnableTool) -> None:
        self.tool = tool
        self.rounds = 0
        self.this_round = False

    def count_round(self) -> None:
        if not self.this_round:
            self.this_round = True
            self.rounds += 1


NO_CALLS: Calls = HostedCalls((), Ledger())
