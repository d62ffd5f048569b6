"""How one answer is to be translated."""

from dataclasses import dataclass

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.items import ReasoningForm
from responses_gateway.translate.reasoning import PLAIN, Seal


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How the client and the upstream's profile want the output.

    `incomplete_completes`: an answer cut by a limit ends with `response.completed` (status `incomplete`), because
    Codex fails the turn on `response.incomplete`. `tolerate_eof`: this upstream may end its stream with neither
    finish_reason nor [DONE]. `for_codex`: messages say whether they are commentary or the final answer, and a
    failure has a code that Codex acts on, and leaves what was half said undone.
    `reasoning_snapshots`: a delta of reasoning may repeat all of it so far. `queued`: the response was waiting before
    it began. `seal` makes the envelopes of reasoning. `schema`: the answer's text is JSON that has to match it, and is
    held back until it is known to. `search_sources`: web_search_call items say what was found. `uncallable`: the
    client takes no call, and these are the tools that the upstream is told of all the same; None: calls may come.
    """

    reasoning: ReasoningForm = "summary"
    seal_reasoning: bool = True
    seal: Seal = PLAIN
    incomplete_completes: bool = False
    heal_markup: bool = True
    tolerate_eof: bool = False
    for_codex: bool = False
    reasoning_snapshots: bool = False
    queued: bool = False
    schema: JsonObject | None = None
    search_sources: bool = False
    uncallable: frozenset[str] | None = None
