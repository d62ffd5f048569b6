"""Calls for targets that speak the Responses API themselves: which ones these are, and what is sent."""

from collections.abc import Mapping
from urllib.parse import urlencode

from responses_gateway.endpoints.chat import Relay
from responses_gateway.endpoints.off_loop import off_loop
from responses_gateway.endpoints.stored import not_found, read
from responses_gateway.protocol.client_headers import CONVERSATION, SESSION, THREAD, ClientFields
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Call
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.protocol.json_fields import field_of
from responses_gateway.security.redaction import is_secret
from responses_gateway.state.native_history import inlined
from responses_gateway.state.store import Store
from responses_gateway.translate.ledger import Ledger
from responses_gateway.turn.background import JOB_HEADER
from responses_gateway.turn.native_request import NativeRequest, Translate, named
from responses_gateway.turn.recovery.recovery import PassOn
from responses_gateway.turn.runtime import Runtime
from responses_gateway.turn.upstream_request import COMPACTION
from responses_gateway.upstream.routing import Route
from responses_gateway.upstream.upstreams import native_headers


async def native_request(call: Call, runtime: Runtime, translate: Translate) -> NativeRequest | None:
    """The call for its native target; None when the target is asked by chat/completions.

    `translate` serves it there if need be. Raises GatewayError.
    """
    route = await _native_route(call, runtime)
    if route is None:
        return None
    return await _passed_on(call, runtime, route, Ledger(), translate)


def passing_on(call: Call, runtime: Runtime) -> PassOn | None:
    """Makes the same of a call that is translated, for a native fallback; None for one that must be translated."""
    if JOB_HEADER in call.headers or (call.method, call.path) != ("POST", "/responses"):
        return None

    async def pass_on(route: Route, ledger: Ledger) -> NativeRequest | None:
        if await runtime.apis.api(call.owner, route, runtime.state.storage) == "chat":
            return None
        return await _passed_on(call, runtime, route, ledger, None)

    return pass_on


async def _passed_on(
    call: Call, runtime: Runtime, route: Route, ledger: Ledger, translate: Translate | None
) -> NativeRequest:
    size = len(call.body)
    given = await off_loop(size, call.json)
    sealed_for = call.owner if runtime.settings.access_keys else ""
    compactions = runtime.state.envelopes(COMPACTION, owner=sealed_for)
    shared = not route.forward_authorization
    body, conversation = await inlined(
        given, call.owner, runtime.state, compactions, ledger, runtime.new_id, is_shared=shared
    )
    return NativeRequest(
        call.path + _query(call),
        call.body if body is given else await off_loop(size, dumps, body),
        body,
        route,
        runtime,
        call.owner,
        _session(call.headers, body),
        ledger,
        None if body.get("background") else translate,
        conversation,
    )


async def native_relay(call: Call, runtime: Runtime) -> Relay | None:
    """The same for a call that is no turn."""
    route = await _native_route(call, runtime)
    if route is None:
        return None
    body = await off_loop(len(call.body), call.json)
    headers = native_headers(route, call.headers, _session(call.headers, body), "application/json")
    content = named(call.body, body, route.model)
    return Relay(f"{route.base_url}{call.path}{_query(call)}", headers, content, route.secrets)


async def relay_to_maker(call: Call, runtime: Runtime, response_id: str) -> Relay:
    """A call about a response that is not kept here, for the upstream that made it. Raises GatewayError if it is not
    known which one did."""
    ids, storage = runtime.state.native_ids, runtime.state.storage

    def look_up(store: Store | None) -> str | None:
        return ids.provider(call.owner, response_id, store)

    provider = look_up(None) if storage is None else await read(storage, look_up)
    upstream = runtime.router.of(call.owner).upstream(provider) if provider is not None else None
    if upstream is None:
        raise not_found(response_id, "" if runtime.state.storage else " This gateway keeps no responses.")
    accept = "text/event-stream" if call.flag("stream") else "application/json"
    headers = native_headers(upstream, call.headers, None, accept)
    url = f"{upstream.base_url}{call.path}{_query(call)}"
    return Relay(url, headers, call.body, upstream.secrets, call.method)


async def _native_route(call: Call, runtime: Runtime) -> Route | None:
    # Of a background response of the gateway's own, every round is translated.
    if JOB_HEADER in call.headers:
        return None
    model = await off_loop(len(call.body), field_of, call.body, "model")
    if not isinstance(model, str | None):
        return None
    await runtime.lists.ensure(model, call.owner, call.headers)
    try:
        route = runtime.router.of(call.owner).resolve(model)
    except GatewayError:
        # Said when the whole request is known to be valid.
        return None
    return None if await runtime.apis.api(call.owner, route, runtime.state.storage) == "chat" else route


def _session(headers: Mapping[str, str], body: JsonObject) -> str | None:
    metadata = body.get("client_metadata")
    said = ClientFields(headers, metadata if isinstance(metadata, dict) else None)
    session = said.get(THREAD, CONVERSATION, SESSION) or body.get("prompt_cache_key")
    return session if isinstance(session, str) and session else None


def _query(call: Call) -> str:
    """The query of the call without keys, with its question mark."""
    pairs = [(name, value) for name, values in call.query.items() for value in values if not is_secret(name.lower())]
    return f"?{urlencode(pairs)}" if pairs else ""
