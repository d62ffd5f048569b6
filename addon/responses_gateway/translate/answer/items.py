"""Output items: each has its id, its output_index, and its added, delta and done events.

Items are opened, fed and closed; an item gets its index when it opens. Event names and fields follow
`openai.types.responses`.
"""

from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Sequence
from typing import Literal

from responses_gateway.protocol.json import JsonObject
from responses_gateway.translate.answer.citations import citations
from responses_gateway.translate.reasoning import PLAIN_ENVELOPES, CarriedReasoning, EnvelopeCodec, seal_reasoning
from responses_gateway.translate.tools.hosted import Source

type Event = JsonObject
type ItemStatus = Literal["completed", "incomplete"]
type NewId = Callable[[str], str]
"""Makes an id that was never used, with the given prefix."""

type ReasoningForm = Literal["summary", "text", "both", "none"]
"""How reasoning is streamed: as summary, as raw text, as both, or not at all."""


class BeforeItem(Exception):
    """The answer is to end before the item that was about to open; nothing else is open then."""


class Output:
    """Collects events and finished items, and assigns sequence numbers and output indexes.

    Items may be open side by side, but clients see one after another: the events of an item are held back until those
    before it are done.
    """

    def __init__(self, new_id: NewId) -> None:
        self.new_id = new_id
        self.items: list[JsonObject] = []
        """Those that are done, in the order of their indexes."""

        self._done: list[int] = []
        """Their indexes."""

        self._current = 0
        """The index of the first item that is not done."""

        self._held: list[tuple[str, JsonObject]] = []
        self._events: list[Event] = []
        self._sequence = 0
        self._indexes = 0
        self.takes_items = True
        """Whether another item may open."""

    def emit(self, kind: str, fields: JsonObject) -> None:
        if fields.get("output_index", 0) > self._current:
            self._held.append((kind, fields))
            return
        self._events.append({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1

    def take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def add(self, item: JsonObject) -> int:
        """Announce a new item; returns its output_index. Raises BeforeItem when no item is to follow."""
        if not self.takes_items:
            raise BeforeItem
        index, self._indexes = self._indexes, self._indexes + 1
        self.emit("response.output_item.added", {"output_index": index, "item": item})
        return index

    def done(self, index: int, item: JsonObject) -> None:
        place = bisect(self._done, index)
        self._done.insert(place, index)
        self.items.insert(place, item)
        self.emit("response.output_item.done", {"output_index": index, "item": item})
        if index == self._current:
            self._show_next()

    def _show_next(self) -> None:
        while self._current < len(self._done) and self._done[self._current] == self._current:
            self._current += 1
        held, self._held = sorted(self._held, key=lambda event: int(event[1]["output_index"])), []
        for kind, fields in held:
            self.emit(kind, fields)


class OutputItem(ABC):
    """One item while it is open."""

    def __init__(self, output: Output, prefix: str) -> None:
        self._output = output
        self.id = output.new_id(prefix)
        self._index = 0

    def _open(self, item: JsonObject) -> None:
        self._index = self._output.add(item)

    def _emit(self, kind: str, fields: JsonObject) -> None:
        self._output.emit(kind, {"item_id": self.id, "output_index": self._index, **fields})

    @abstractmethod
    def close(self, status: ItemStatus) -> None:
        """End the item: send its done events, and add it to the output."""

    @abstractmethod
    def abandon(self) -> JsonObject:
        """Return the unfinished item of an answer that failed. It is never done, because clients must not use it."""


class MessageItem(OutputItem):
    """An assistant message. Text and refusals are separate parts, which are opened when they begin."""

    def __init__(self, output: Output) -> None:
        super().__init__(output, "msg")
        self._parts: list[JsonObject] = []
        self._pieces: list[str] = []
        self._kind: Literal["output_text", "refusal"] | None = None
        self._logprobs: list[JsonObject] = []
        self._annotations: list[JsonObject] = []
        self.phase: Literal["commentary", "final_answer"] | None = None
        self._open(self._item("in_progress"))

    def _item(self, status: str) -> JsonObject:
        item = {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": list(self._parts)}
        if self.phase:
            item["phase"] = self.phase
        return item

    def text(self, text: str, logprobs: list[JsonObject] | None = None) -> None:
        self._part("output_text")
        self._pieces.append(text)
        if logprobs:
            self._logprobs += logprobs
        self._emit(
            "response.output_text.delta",
            {"content_index": len(self._parts), "delta": text, "logprobs": logprobs or []},
        )

    def refusal(self, text: str) -> None:
        self._part("refusal")
        self._pieces.append(text)
        self._emit("response.refusal.delta", {"content_index": len(self._parts), "delta": text})

    def annotate(self, annotation: JsonObject) -> None:
        self._part("output_text")
        self._emit(
            "response.output_text.annotation.added",
            {
                "content_index": len(self._parts),
                "annotation_index": len(self._annotations),
                "annotation": annotation,
            },
        )
        self._annotations.append(annotation)

    def cite(self, sources: Sequence[Source]) -> None:
        """Annotate the citations in the current text, which is complete."""
        if self._kind == "output_text":
            for annotation in citations("".join(self._pieces), sources):
                self.annotate(annotation)

    def _part(self, kind: Literal["output_text", "refusal"]) -> None:
        if self._kind == kind:
            return
        self._end_part()
        self._kind = kind
        self._emit(
            "response.content_part.added", {"content_index": len(self._parts), "part": self._rendered_part(kind, "")}
        )

    def _rendered_part(self, kind: str, text: str) -> JsonObject:
        if kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": list(self._annotations),
            "logprobs": list(self._logprobs),
        }

    def _end_part(self) -> None:
        if self._kind is None:
            return
        text = "".join(self._pieces)
        part = self._rendered_part(self._kind, text)
        index = {"content_index": len(self._parts)}
        if self._kind == "refusal":
            self._emit("response.refusal.done", {**index, "refusal": text})
        else:
            self._emit("response.output_text.done", {**index, "text": text, "logprobs": list(self._logprobs)})
        self._emit("response.content_part.done", {**index, "part": part})
        self._parts.append(part)
        self._pieces, self._logprobs, self._annotations, self._kind = [], [], [], None

    def close(self, status: ItemStatus) -> None:
        self._end_part()
        self._output.done(self._index, self._item(status))

    def abandon(self) -> JsonObject:
        item = self._item("incomplete")
        if self._kind is not None:
            item["content"].append(self._rendered_part(self._kind, "".join(self._pieces)))
        return item


class ReasoningItem(OutputItem):
    """The reasoning, shown in the form that the client wants; the raw text is always in the item."""

    def __init__(
        self, output: Output, form: ReasoningForm, sealed: bool, envelopes: EnvelopeCodec = PLAIN_ENVELOPES
    ) -> None:
        super().__init__(output, "rs")
        self._summarise = form in ("summary", "both")
        self._raw = form in ("text", "both")
        self._sealed = sealed
        self._envelopes = envelopes
        self._pieces: list[str] = []
        self.carried = CarriedReasoning()
        self._open(self._item("in_progress", ""))

    def text(self, text: str) -> None:
        if not self._pieces:
            if self._summarise:
                self._emit("response.reasoning_summary_part.added", {"summary_index": 0, "part": _summary("")})
            if self._raw:
                self._emit("response.content_part.added", {"content_index": 0, "part": _raw("")})
        self._pieces.append(text)
        if self._summarise:
            self._emit("response.reasoning_summary_text.delta", {"summary_index": 0, "delta": text})
        if self._raw:
            self._emit("response.reasoning_text.delta", {"content_index": 0, "delta": text})

    def close(self, status: ItemStatus) -> None:
        text = self.carried.text = "".join(self._pieces)
        if text and self._summarise:
            self._emit("response.reasoning_summary_text.done", {"summary_index": 0, "text": text})
            self._emit("response.reasoning_summary_part.done", {"summary_index": 0, "part": _summary(text)})
        if text and self._raw:
            self._emit("response.reasoning_text.done", {"content_index": 0, "text": text})
            self._emit("response.content_part.done", {"content_index": 0, "part": _raw(text)})
        item = self._item(status, text)
        needed = self.carried.details or self.carried.calls or self.carried.hosted_results
        if self._sealed or needed:
            item["encrypted_content"] = seal_reasoning(self.carried, self._envelopes)
        self._output.done(self._index, item)

    def abandon(self) -> JsonObject:
        return self._item("incomplete", "".join(self._pieces))

    def _item(self, status: str, text: str) -> JsonObject:
        item: JsonObject = {"id": self.id, "type": "reasoning", "status": status, "summary": []}
        if text and self._summarise:
            item["summary"] = [_summary(text)]
        if text:
            item["content"] = [_raw(text)]
        return item


def _summary(text: str) -> JsonObject:
    return {"type": "summary_text", "text": text}


def _raw(text: str) -> JsonObject:
    return {"type": "reasoning_text", "text": text}
