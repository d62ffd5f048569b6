"""Asks other models what a turn asked: the same request, served as every other one, in a session of its own.

Nothing that the answers call is executed, nothing is stored for clients, and the session that the turn belongs to does
not learn of it: neither here nor at the upstream, which gets another cache key.
"""

import asyncio
from collections.abc import Callable, Sequence
from secrets import token_hex

from mitmproxy import ctx, http
from mitmproxy.addons import clientplayback
from mitmproxy.proxy.mode_specs import ProxyMode

from responses_gateway.hosted.registry import is_hosted
from responses_gateway.inspection.archive.flows import flow_of
from responses_gateway.inspection.archive.rows import WholeTurn
from responses_gateway.inspection.recording.turn_recorder import KEYS
from responses_gateway.protocol.client_headers import REQUEST_KIND, SESSION, THREAD
from responses_gateway.protocol.json import JsonObject, dumps
from responses_gateway.proxy import messages
from responses_gateway.proxy.arrivals import first_listener
from responses_gateway.security.terminal import get_logger
from responses_gateway.turn.runtime import Runtime

logger = get_logger(__name__)

MOST = 6
"""Models that are asked at once."""

KIND = "asked"
"""What the archive calls such a turn."""

_OF_THE_SESSION = ("client_metadata", "prompt_cache_key", "background")
"""Fields of a request that tie it to its session."""

_KEPT_HEADERS = ("host", "content-type", "user-agent", "originator")
"""Headers that say nothing of a session."""

type Lend = Callable[[str, http.HTTPFlow], None]
"""Gives a new flow the client's own key, which the flow of that id came with, if it is still known."""


class NotAskableError(Exception):
    """Why a turn cannot be asked again."""


class Asking:
    """Makes the flows, and lets them run."""

    def __init__(self, runtime: Callable[[ProxyMode], Runtime], lend: Lend) -> None:
        self._runtime = runtime
        self._lend = lend
        self._tasks: set[asyncio.Task[None]] = set()

    def models(self) -> list[str]:
        """The models that are known, by the names that clients use. Nobody is asked for a list: a page has no client's
        key to ask with.
        """
        mode = first_listener(ctx.options.mode)
        return [] if mode is None else [row.id for row in self._runtime(mode).router.models() if not row.assumed]

    def ask(self, whole: WholeTurn, models: Sequence[str]) -> None:
        """Begin to ask; the answers go into the session `session_of(turn)`. Raises NotAskableError."""
        if not whole.shell or not isinstance(whole.record.request_json, dict):
            raise NotAskableError("The turn is not over, or its request was not kept.")
        for model in list(dict.fromkeys(models))[:MOST]:
            flow = _flow(whole, model)
            self._lend(whole.turn.flow, flow)
            task = asyncio.create_task(self._run(flow))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, flow: http.HTTPFlow) -> None:
        """As mitmproxy replays a flow, but without its queue, which lets them run one by one only."""
        try:
            await clientplayback.ReplayHandler(flow, ctx.options).replay()
        except Exception:
            # Whatever happens in the flow's hooks must not be lost in a task.
            logger.exception("another model could not be asked")


def session_of(turn: str) -> str:
    """The session of the answers to what a turn asked."""
    return f"{KIND}-{turn}"


def _flow(whole: WholeTurn, model: str) -> http.HTTPFlow:
    """A flow that asks a model what the turn asked."""
    flow: http.HTTPFlow = flow_of(whole).copy()
    for key in KEYS:
        flow.metadata.pop(key, None)
    flow.comment = flow.marked = ""
    flow.response = flow.error = None
    flow.is_replay = "request"
    session = session_of(whole.turn.id)
    kept = [(name, value) for name, value in flow.request.headers.items(multi=True) if name.lower() in _KEPT_HEADERS]
    marks = {SESSION: session, THREAD: f"{session}-{token_hex(4)}", REQUEST_KIND: KIND}
    flow.request.headers = messages.headers([*kept, *marks.items()])
    flow.request.trailers = None
    flow.request.content = dumps(_request(whole.record.request_json, model))
    return flow


def _request(request: JsonObject, model: str) -> JsonObject:
    """The same request for another model."""
    body = {name: value for name, value in request.items() if name not in _OF_THE_SESSION}
    tools = body.get("tools")
    if isinstance(tools, list):
        # The gateway would carry them out.
        body["tools"] = [tool for tool in tools if not _is_hosted(tool)]
    return {**body, "model": model, "stream": True, "store": False}


def _is_hosted(tool: object) -> bool:
    return isinstance(tool, dict) and is_hosted(tool)
