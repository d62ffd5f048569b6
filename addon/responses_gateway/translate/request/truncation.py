"""Applies `truncation` to a request that is larger than the model's context window.

With `auto`, the oldest turns are dropped, and then the oldest steps of the last turn; the last user message and system
messages stay. A call is never dropped without its results. Sizes are estimates (see `token_estimate.py`), so without
`truncation` the upstream decides.
"""

from collections.abc import Sequence

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.protocol import responses as wire
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.token_estimate import BYTES_PER_TOKEN, PICTURE_TOKENS

_RESERVED = 0.25
"""The largest part of the window that is kept free for the answer."""


def fit(request: wire.ResponsesRequest, card: ModelCard, ledger: Ledger) -> wire.ResponsesRequest:
    """Return `request` so that it fits the window of the model. Raises GatewayError `context_length_exceeded`."""
    window = card.context_window
    if window is None or request.truncation is None:
        return request
    sizes = [_size(item) for item in request.input]
    fixed = len(dumps([_offered(request.tools or ()), request.instructions])) // BYTES_PER_TOKEN
    if request.truncation == "disabled":
        if fixed + sum(sizes) > window:
            raise _too_long(window)
        return request
    wanted = request.max_output_tokens or card.max_output_tokens or 0
    room = window - min(wanted, int(window * _RESERVED)) - fixed
    kept = _kept(request.input, sizes, room)
    if sum(sizes[position] for position in kept) > room:
        raise _too_long(window)
    if len(kept) == len(request.input):
        return request
    dropped = len(request.input) - len(kept)
    why = f"the oldest {dropped} items (truncation auto): the window has {window} tokens"
    ledger.add("dropped", "input", why, loss=False)
    return request.model_copy(update={"input": [request.input[position] for position in kept]})


def _offered(tools: Sequence[JsonObject]) -> list[JsonObject]:
    """The declarations without those that wait for a search."""
    if not any(tool.get("type") == "tool_search" and tool.get("execution") != "client" for tool in tools):
        return list(tools)
    kept = [tool for tool in tools if not tool.get("defer_loading")]
    return [_without_deferred(tool) if isinstance(tool.get("tools"), list) else tool for tool in kept]


def _without_deferred(namespace: JsonObject) -> JsonObject:
    children = namespace["tools"]
    return {**namespace, "tools": [one for one in children if not (isinstance(one, dict) and one.get("defer_loading"))]}


def _kept(items: Sequence[wire.Item], sizes: Sequence[int], room: int) -> list[int]:
    """Return the positions of the items that stay: blocks are dropped, oldest first, until the rest fits."""
    total = sum(sizes)
    gone: set[int] = set()
    for block in _blocks(items):
        if total <= room:
            break
        block_calls = {_call_id(items[position]) for position in block} - {None}
        late = {position for position, item in enumerate(items) if _call_id(item) in block_calls}
        for position in ({*block, *late}) - gone:
            gone.add(position)
            total -= sizes[position]
    return [position for position in range(len(items)) if position not in gone]


def _blocks(items: Sequence[wire.Item]) -> list[list[int]]:
    """Return the blocks to drop, in order: all turns but the last, then all steps of the last turn but its latest."""
    turns: list[list[int]] = [[]]
    for position, item in enumerate(items):
        if _stays(item):
            continue
        if isinstance(item, wire.Message) and item.role == "user" and turns[-1]:
            turns.append([])
        turns[-1].append(position)
    *earlier, last = turns
    steps: list[list[int]] = []
    answered = True
    for position in last:
        item = items[position]
        if isinstance(item, wire.Message) and item.role == "user":
            continue
        is_result = str(item.type).endswith("_output")
        if answered and not is_result:
            steps.append([])
        answered = is_result
        if steps:
            steps[-1].append(position)
    return [*earlier, *steps[:-1]]


def _stays(item: wire.Item) -> bool:
    system = isinstance(item, wire.Message) and item.role in ("system", "developer")
    return system or isinstance(item, wire.AdditionalTools | wire.CompactionTrigger)


def _call_id(item: wire.Item) -> str | None:
    call_id = getattr(item, "call_id", None)
    return call_id if isinstance(call_id, str) else None


def _size(item: wire.Item) -> int:
    """Estimate the tokens of one item. Envelopes do not count: the model does not read them."""
    shown = item.model_dump(exclude_unset=True, exclude={"encrypted_content", "id", "status"})
    # A picture that was made stands in its item itself.
    pictures = int(isinstance(item, wire.ImageGenerationCall) and shown.pop("result", None) is not None)
    for parts in (shown.get("content"), shown.get("output")):
        for part in parts if isinstance(parts, list) else [parts]:
            for name in ("image_url", "file_data", "input_audio", "video_url"):
                if isinstance(part, dict) and part.pop(name, None) is not None:
                    pictures += 1
    return len(dumps(shown)) // BYTES_PER_TOKEN + pictures * PICTURE_TOKENS


def _too_long(window: int) -> GatewayError:
    return GatewayError(
        f"Your input exceeds the context window of this model ({window} tokens). Shorten it, or use truncation auto.",
        code="context_length_exceeded",
        param="input",
    )
