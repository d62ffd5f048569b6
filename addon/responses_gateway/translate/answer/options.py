"""Options for the translation of one answer."""

from dataclasses import dataclass

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.demands import Demands
from responses_gateway.translate.answer.items import ReasoningForm
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES, EnvelopeCodec

NO_DEMANDS = Demands()


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How the client and the profile of the upstream want the output."""

    reasoning: ReasoningForm = "summary"
    seal_reasoning: bool = True
    """Whether every reasoning item gets `encrypted_content`, and not only one that holds more than text."""

    envelopes: EnvelopeCodec = PLAIN_ENVELOPES
    """Makes the envelopes of reasoning."""

    incomplete_completes: bool = False
    """Whether an answer that a limit has cut off ends with `response.completed` (status `incomplete`). Codex fails the
    turn on `response.incomplete`."""

    heal_markup: bool = True
    """Whether tool calls that the model wrote as text become calls."""

    tolerate_eof: bool = False
    """Whether this upstream may end its stream with neither finish_reason nor [DONE]."""

    for_codex: bool = False
    """Whether messages say that they are commentary or the final answer. A failure then has a code that Codex acts on,
    and leaves unfinished items undone."""

    reasoning_snapshots: bool = False
    """Whether a delta of reasoning may repeat all of the reasoning so far."""

    queued: bool = False
    """Whether the response waited in a queue before it began."""

    schema: JsonObject | None = None
    """JSON schema that the text has to match. The text is held back until it is complete and was checked."""

    uncallable: frozenset[str] | None = None
    """Tools that the upstream knows of although the client takes no call. None: the model may call tools."""

    silence_is_done: bool = False
    """Whether the model has just got the result of a call, and may have nothing to add."""

    demands: Demands = NO_DEMANDS
    """What the client wants of the answer, whether the upstream enforces it or not."""
