"""Finds out whether a provider really works: one short turn that streams and calls a tool."""

import asyncio
from dataclasses import dataclass, replace

from responses_gateway.protocol import sse
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject, dumps, loads
from responses_gateway.protocol.responses import parse_request
from responses_gateway.security.redaction import Redactor
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.repair.upstream_errors import error_in, upstream_error
from responses_gateway.translate.request.chat_request import translate_request
from responses_gateway.upstream.http_client import HttpClient
from responses_gateway.upstream.routing import Route
from responses_gateway.upstream.spoken_apis import NO_SUCH_PATH
from responses_gateway.upstream.upstreams import request_headers

PATIENCE = 60.0
"""Seconds for the whole turn; models may think before they call."""

_MAX_ANSWER = 4 << 20
_REQUEST: JsonObject = {
    "input": "Call the function `ping` with the word hello. Do nothing else.",
    "stream": True,
    "tools": [
        {
            "type": "function",
            "name": "ping",
            "description": "Checks that function calls work.",
            "parameters": {
                "type": "object",
                "properties": {"word": {"type": "string", "description": "Any word."}},
                "required": ["word"],
                "additionalProperties": False,
            },
        }
    ],
}


@dataclass(frozen=True)
class ProbeResult:
    """What is known about one provider. None: could not be found out, because of what failed before it."""

    model: str
    reachable: bool = False
    status: int = 0
    """Of a refusal."""

    key_accepted: bool | None = None
    model_exists: bool | None = None
    streams: bool | None = None
    calls_tool: bool | None = None
    api: str = ""
    """By which API it was asked, and why."""

    problem: str = ""
    """What failed first, in words; empty when everything works."""

    @property
    def works(self) -> bool:
        return not self.problem


async def probe(route: Route) -> ProbeResult:
    """Run the turn. Never raises: what fails is in the finding, without the key that some upstreams repeat."""
    redactor = Redactor()
    redactor.conceal(route.secrets)
    finding = await _probed(route)
    return replace(finding, problem=redactor.clean_text(finding.problem))


async def _probed(route: Route) -> ProbeResult:
    match route.api:
        case "chat":
            why = "deny_tools" if route.profile.api != "chat" else "api: chat"
            return await _chat_turn(route, f"chat/completions ({why})")
        case "responses":
            return replace(await _native_turn(route), api="the Responses API, untranslated (api: responses)")
    native = await _native_turn(route)
    if native.status not in NO_SUCH_PATH or native.model_exists is False:
        return replace(native, api="the Responses API, untranslated (api: auto, and it has it)")
    return await _chat_turn(route, f"chat/completions (api: auto, and /responses gives HTTP {native.status})")


async def _native_turn(route: Route) -> ProbeResult:
    return await _turn(route, "/responses", {"model": route.model, "store": False, **_REQUEST})


async def _chat_turn(route: Route, api: str) -> ProbeResult:
    request = parse_request(dumps({"model": route.model, **_REQUEST}))
    body = translate_request(request, model=route.model, profile=route.profile, card=route.card, ledger=Ledger()).body
    return replace(await _turn(route, "/chat/completions", body), api=api)


async def _turn(route: Route, path: str, body: JsonObject) -> ProbeResult:
    headers = request_headers(route, {}, None, "text/event-stream")
    url = f"{route.base_url}{path}"
    try:
        async with (
            asyncio.timeout(PATIENCE),
            HttpClient() as http,
            http.request("POST", url, headers, dumps(body)) as response,
        ):
            answer, _ = await response.read(_MAX_ANSWER)
    except TimeoutError as error:
        return ProbeResult(route.model, problem=str(error) or f"did not answer within {PATIENCE:g} seconds")
    except OSError as error:
        return ProbeResult(route.model, problem=f"cannot be reached: {error or type(error).__name__}")
    if response.status != 200:
        refusal = upstream_error(
            response.status, response.headers, answer, upstream=route.provider, credential=route.credential
        )
        return replace(_refused(route.model, response.status, refusal), status=response.status)
    return _answered(route.model, answer)


def _refused(model: str, status: int, error: GatewayError) -> ProbeResult:
    if error.code == "model_not_found":
        return ProbeResult(model, True, key_accepted=True, model_exists=False, problem=error.message)
    if status in (401, 403) or error.code == "invalid_api_key":
        return ProbeResult(model, True, key_accepted=False, problem=error.message)
    return ProbeResult(model, True, problem=error.message)


def _answered(model: str, answer: bytes) -> ProbeResult:
    decoder = sse.SseDecoder()
    chunks = []
    for payload in (*decoder.feed(answer), *decoder.finish()):
        try:
            chunks.append(loads(payload))
        except ValueError:
            continue
    accepted = ProbeResult(model, True, key_accepted=True)
    for chunk in chunks:
        if (error := error_in(chunk) or _failure_in(chunk)) is not None:
            return replace(accepted, problem=error.message)
    exists = replace(accepted, model_exists=True, streams=bool(chunks))
    if not chunks:
        return replace(exists, problem="does not stream: the answer has no events")
    if not any(_has_call(chunk) for chunk in chunks):
        return replace(exists, calls_tool=False, problem="did not call the tool that it was told to call")
    return replace(exists, calls_tool=True)


def _failure_in(event: object) -> GatewayError | None:
    """The error of a failed response."""
    if not isinstance(event, dict) or event.get("type") != "response.failed":
        return None
    response = event.get("response")
    return error_in(response) if isinstance(response, dict) else None


def _has_call(chunk: object) -> bool:
    """Whether a chunk, or an event of the Responses API, holds a call."""
    if not isinstance(chunk, dict):
        return False
    item = chunk.get("item")
    if isinstance(item, dict) and item.get("type") == "function_call":
        return True
    return any(
        isinstance(choice, dict) and (choice.get("delta") or choice.get("message") or {}).get("tool_calls")
        for choice in chunk.get("choices") or ()
    )
