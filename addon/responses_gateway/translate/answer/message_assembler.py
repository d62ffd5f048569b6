"""Puts the text, the reasoning and the pictures of an answer together into items."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from responses_gateway.protocol.json import JsonObject
from responses_gateway.protocol.pictures import picture_in
from responses_gateway.translate.answer.chunk_reader import DeltaPart, merge_details
from responses_gateway.translate.answer.image_items import ImageItem
from responses_gateway.translate.answer.items import ItemStatus, MessageItem, Output, ReasoningItem
from responses_gateway.translate.answer.options import StreamOptions
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.reasoning import CarriedReasoning
from responses_gateway.translate.repair.structured_output import NonCompliantAnswer, check
from responses_gateway.translate.tools.hosted import Source


class MessageAssembler:
    """Opens, feeds and closes message, reasoning and image items, of which at most one is open.

    JSON that has to match a schema is held back as a draft until it is complete, and so is text that comes where a tool
    has to be called.
    """

    def __init__(self, output: Output, ledger: Ledger, options: StreamOptions) -> None:
        self._output = output
        self._ledger = ledger
        self._options = options
        self._sources: list[Source] = []
        self._message: MessageItem | None = None
        self._reasoning: ReasoningItem | None = None
        self.awaits_call = options.demands.forced
        """Whether a tool has to be called, and no call was shown yet."""

        self.begin_choice()

    def begin_choice(self) -> None:
        """Forget what is held back of the last choice."""
        self._blank: list[str] = []
        """White space that no other text has followed yet."""
        self._draft: list[str] = []
        self._logprobs: list[JsonObject] = []
        self._reasoning_texts: list[str] = []
        self._details: list[JsonObject] = []
        self.answered = False
        """Whether the choice has begun to answer, with text or with a call."""

    @property
    def has_open_item(self) -> bool:
        return self._message is not None or self._reasoning is not None

    @property
    def has_draft(self) -> bool:
        return bool(self._draft)

    @property
    def draft(self) -> str:
        return "".join(self._draft)

    def hold_to(self, schema: JsonObject) -> None:
        """Hold the text back from now on, until it is known to match `schema`."""
        self._options = replace(self._options, schema=schema)

    def draft_fault(self) -> NonCompliantAnswer | None:
        """Check the draft against the schema; None when nothing is wrong with it."""
        schema = self._options.schema
        if schema is None or not self._draft:
            return None
        _, problem = check(self.draft, schema)
        return NonCompliantAnswer(self.draft, problem) if problem is not None else None

    # While the answer comes -------------------------------------------------------------------------------------------

    def add_logprobs(self, logprobs: Sequence[JsonObject]) -> None:
        """Add the log probabilities of the text that comes next."""
        self._logprobs += logprobs

    def add_details(self, entries: Sequence[JsonObject]) -> None:
        """Add `reasoning_details`, which the upstream wants back as they are."""
        merge_details(self._details, entries, snapshots=self._options.reasoning_snapshots)

    def add_sources(self, sources: Sequence[Source]) -> None:
        """Add what later messages may cite."""
        self._sources += [source for source in sources if source not in self._sources]

    def show(self, part: DeltaPart) -> None:
        """Show text, reasoning, a refusal, annotations or a picture."""
        match part.kind:
            case "text":
                self._show_text(part.text)
            case "reasoning":
                self._show_reasoning(part.text)
            case "refusal":
                self._open_message().refusal(part.text)
            case "annotations":
                for annotation in part.objects:
                    self._open_message().annotate(annotation)
            case "image":
                self._show_image(part.text)

    def _show_text(self, text: str) -> None:
        if self._options.schema is not None or self.awaits_call:
            self._draft.append(text)
            self.answered = self.answered or bool(text.strip())
            return
        self._write(text)

    def _write(self, text: str) -> None:
        if self._message is None:
            # Line breaks between reasoning and a call are no message: blank text waits for more.
            self._blank.append(text)
            if not text.strip():
                return
            text, self._blank = "".join(self._blank), []
        message = self._message or self._open_message()
        if self._logprobs:
            logprobs, self._logprobs = self._logprobs, []
            message.text(text, logprobs)
        else:
            message.text(text)

    def _open_message(self) -> MessageItem:
        if self._message is None:
            self._close_reasoning("completed")
            self._message = MessageItem(self._output)
            self.answered = True
        return self._message

    def _show_reasoning(self, text: str) -> None:
        if not text:
            return
        self.close_message("completed", "commentary")
        self._reasoning_texts.append(text)
        self._open_reasoning().text(text)

    def _open_reasoning(self) -> ReasoningItem:
        if self._reasoning is None:
            options = self._options
            self._reasoning = ReasoningItem(self._output, options.reasoning, options.seal_reasoning, options.envelopes)
        return self._reasoning

    def _show_image(self, url: str) -> None:
        picture = picture_in(url)
        if picture is None and url.startswith(("https://", "http://")):
            self._ledger.add("changed", "output.images", "a link: the picture has an address instead of its data")
            self._show_text(f"![]({url})")
            return
        if picture is None:
            self._ledger.add("dropped", "output.images", f"what is said to be a picture is none: {url[:60]}")
            self._show_text("[A picture of the model's cannot be shown: it is none.]")
            return
        kind, data = picture
        self._close_reasoning("completed")
        self.close_message("completed", "commentary")
        ImageItem(self._output, data, kind).close("completed")
        self.answered = True

    def _close_reasoning(self, status: ItemStatus) -> None:
        if self._reasoning is not None:
            self._reasoning.carried = CarriedReasoning(details=self._details)
            self._details = []
            self._reasoning.close(status)
            self._reasoning = None

    def close_message(self, status: ItemStatus, phase: Literal["commentary", "final_answer"]) -> None:
        """Close the message, if one is open; `phase` is what it was."""
        if self._message is not None:
            if self._options.for_codex:
                self._message.phase = phase
            if self._sources:
                self._message.cite(self._sources)
            self._message.close(status)
            self._message = None

    def make_way_for_call(self) -> None:
        """Close what is open, because a tool call follows; a draft before a call is no answer, and shown as it is."""
        if self._draft:
            self._write(self._take_draft())
        self._close_reasoning("completed")
        self.close_message("completed", "commentary")
        self.answered = True
        self.awaits_call = False

    # At the end -------------------------------------------------------------------------------------------------------

    def end_choice(
        self, status: ItemStatus, signatures: dict[str, JsonObject], hosted_results: list[JsonObject]
    ) -> None:
        """End the items of the current choice; `signatures` and `hosted_results` travel with its reasoning."""
        self._show_draft(status)
        blank, self._blank = "".join(self._blank), []
        if blank and not self.answered and not self._reasoning_texts:
            self._open_message().text(blank)
        elif blank:
            self._ledger.add("dropped", "output.text", "blank text without any other")
        if not self.answered and self._reasoning_texts and status == "completed":
            self._ledger.add("changed", "output.reasoning", "shown as the answer, because nothing else came")
            self._open_message().text("".join(self._reasoning_texts))
        self.close_message(status, "final_answer")
        self._carry(status, signatures, hosted_results)

    def stop(self, signatures: dict[str, JsonObject], hosted_results: list[JsonObject]) -> None:
        """End the choice where no item is open; what no item was opened for is given up."""
        self._draft, self._blank = [], []
        self._carry("completed", signatures, hosted_results)

    def add_last_line(self, line: str) -> None:
        """Add a line of the gateway's own behind the text, or in place of it."""
        self._write(f"{self._take_draft()}\n\n{line}" if self.answered else line)

    def _show_draft(self, status: ItemStatus) -> None:
        """Show the draft. One that does not match its schema becomes a refusal, because no client could use it."""
        draft = self._take_draft()
        if self._options.schema is None:
            if draft:
                self._write(draft)
            return
        if not draft.strip():
            return
        text, problem = check(draft, self._options.schema)
        if problem is not None and status == "completed":
            self._ledger.add("changed", "output.text", f"a refusal, because the text does not match: {problem}")
            self._open_message().refusal(f"The model's answer does not match the requested format: {problem}")
        else:
            self._write(text)

    def _take_draft(self) -> str:
        draft, self._draft = self.draft, []
        return draft

    def _carry(self, status: ItemStatus, signatures: dict[str, JsonObject], hosted_results: list[JsonObject]) -> None:
        """Close the reasoning with what the upstream wants back; an item is opened for it if none is open any more."""
        if self._reasoning is None and not (signatures or self._details or hosted_results):
            return
        item = self._open_reasoning()
        details, self._details = self._details, []
        item.carried = CarriedReasoning(details=details, calls=signatures, hosted_results=hosted_results)
        item.close(status)
        self._reasoning = None

    def abandon(self) -> list[JsonObject]:
        """End what is open of an answer that failed; returns the items that must not be done.

        Codex asks again with all items that were done: half a message would be the last one of its history.
        """
        if self._options.for_codex:
            unfinished = [item.abandon() for item in (self._reasoning, self._message) if item is not None]
            self._reasoning = self._message = None
            return unfinished
        self.close_message("incomplete", "commentary")
        self._close_reasoning("incomplete")
        return []
