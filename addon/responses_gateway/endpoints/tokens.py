"""`POST /v1/responses/input_tokens`: counts the tokens of a prompt."""

import asyncio
import importlib

from responses_gateway.endpoints.chat import Relay
from responses_gateway.endpoints.native import native_relay
from responses_gateway.endpoints.off_loop import off_loop
from responses_gateway.hosted.registry import search_of
from responses_gateway.protocol.http import Answer, Call
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.responses import parse_request
from responses_gateway.state import history
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.request.chat_request import translate_request
from responses_gateway.translate.request.prompts import with_prompt
from responses_gateway.translate.token_estimate import PICTURE_TOKENS, estimated_tokens, prompt_text
from responses_gateway.turn.runtime import Runtime


async def count(call: Call, runtime: Runtime) -> Answer | Relay:
    """Counted by the target if it can; else by the model's tokenizer if it is installed; otherwise estimated, which
    `estimated` says."""
    if (relay := await native_relay(call, runtime)) is not None:
        return relay
    size = len(call.body)
    request = await off_loop(size, lambda: parse_request(dumps({"input": [], **call.json(), "store": False})))
    turn = await history.resolve(request, call.owner, runtime.state, runtime.new_id)
    route = runtime.router.of(call.owner).resolve(request.model)
    ledger = Ledger()
    translation = await off_loop(
        size,
        translate_request,
        with_prompt(turn.request, runtime.settings.prompts),
        model=route.model,
        profile=route.profile,
        card=route.card,
        ledger=ledger,
        hosted=search_of(turn.request, call.owner, ledger, runtime.new_id),
    )
    body = translation.body
    counted = await asyncio.to_thread(_counted_tokens, body, route.model)
    answer: JsonObject = {"object": "response.input_tokens", "input_tokens": counted or estimated_tokens(body)}
    if counted is None:
        answer["estimated"] = True
    return Answer.json(answer)


def _counted_tokens(body: JsonObject, model: str) -> int | None:
    """None when tiktoken is not installed, does not know the model, or cannot get its vocabulary."""
    try:
        encoding = importlib.import_module("tiktoken").encoding_for_model(model)
    except Exception:  # noqa: BLE001 (it downloads vocabularies, and fails in as many ways as the network)
        return None
    text, pictures = prompt_text(body)
    return sum(map(len, encoding.encode_batch(text, disallowed_special=()))) + pictures * PICTURE_TOKENS
