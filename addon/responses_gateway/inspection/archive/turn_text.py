"""Shows one archived turn as text: the new items, the answer, and what was changed on the way."""

from collections.abc import Iterator

from responses_gateway.inspection.archive.outcome import outcome_of
from responses_gateway.inspection.archive.rows import WholeTurn
from responses_gateway.inspection.recording.stream_capture import body_of
from responses_gateway.inspection.recording.summary import comment
from responses_gateway.inspection.request_items import input_items
from responses_gateway.inspection.views.transcript import item_block


def lines_of(whole: WholeTurn) -> Iterator[str]:
    """The lines: a summary, the items that came with the turn, the answer, and what was changed on the way."""
    turn, record = whole.turn, whole.record
    yield comment(record.facts)
    yield f"session {turn.session}  thread {turn.thread}  {turn.client} {turn.version}"
    yield f"{turn.provider} {turn.url}"
    yield ""
    items = input_items(record)
    if len(whole.new) < len(items):
        yield f"({len(items) - len(whole.new)} items were there before)"
        yield ""
    for at in whole.new:
        yield from item_block(items[at])
    for item in outcome_of(record, body_of(record.events)).items:
        yield from item_block(item)
    for action, field, why, count in record.facts["ledger"]:
        yield f"{action} {field}{f' (×{count})' if count > 1 else ''}: {why}"
