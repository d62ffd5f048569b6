"""The addon that shows turns: it records them, and keeps the flow list up to date and free of secrets."""

import time
from collections.abc import Callable, Mapping, Sequence
from weakref import WeakKeyDictionary, WeakValueDictionary, ref

from mitmproxy import ctx, http
from mitmproxy.hooks import UpdateHook
from mitmproxy.proxy.mode_specs import ProxyMode

from responses_gateway.inspection.archive.archiving import Archiving
from responses_gateway.inspection.archive.flows import document_of
from responses_gateway.inspection.asking import Asking
from responses_gateway.inspection.commands import Commands
from responses_gateway.inspection.pages.addon import Pages
from responses_gateway.inspection.pages.source import Source
from responses_gateway.inspection.recording import summary, turn_recorder
from responses_gateway.inspection.recording.recorded_turn import RecordedTurn
from responses_gateway.inspection.recording.relay_recorder import RelayRecorder
from responses_gateway.inspection.recording.session_memory import SessionMemory
from responses_gateway.inspection.recording.turn_recorder import TurnRecorder
from responses_gateway.inspection.recording.updates import Updates
from responses_gateway.inspection.stats import Statistics
from responses_gateway.inspection.upstream_log.log import UpstreamLog
from responses_gateway.inspection.views import contentviews
from responses_gateway.protocol.json import JsonObject
from responses_gateway.proxy import messages
from responses_gateway.security.redaction import is_secret
from responses_gateway.settings.settings import Settings
from responses_gateway.turn.background import FLOW_HEADER
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.learned_repairs import LearnedRepairs


class Inspector:
    """Records turns for mitmproxy's views. The gateway calls the first methods; hooks do the rest."""

    def __init__(
        self,
        runtime: Callable[[ProxyMode], Runtime],
        learned: LearnedRepairs,
        serves: Callable[[http.HTTPFlow], bool],
    ) -> None:
        """`runtime` gives what a listener's exchanges are opened with; `learned` has the repairs for its upstreams.

        `serves` says whether a flow is the gateway's to answer.
        """
        self._serves = serves
        self._sessions = SessionMemory()
        self._turns: WeakKeyDictionary[http.HTTPFlow, TurnRecorder] = WeakKeyDictionary()
        self._secrets: WeakKeyDictionary[http.HTTPFlow, dict[str, str]] = WeakKeyDictionary()
        self._log: UpstreamLog | None = None
        self._statistics = Statistics()
        self._counted: WeakKeyDictionary[http.HTTPFlow, float] = WeakKeyDictionary()
        self._updates = Updates(self._update)
        self._flows: WeakValueDictionary[str, http.HTTPFlow] = WeakValueDictionary()
        self._origins: WeakKeyDictionary[http.HTTPFlow, ref[http.HTTPFlow]] = WeakKeyDictionary()
        self.archiving = Archiving()
        source = Source(lambda: self.archiving.path, self._running, self._record)
        pages = Pages(source, self.archiving, Asking(runtime, self._lend_secrets))
        self.addons = [Commands(self._statistics, runtime, learned, self.archiving), self.archiving, pages]
        contentviews.register()

    def use(self, settings: Settings) -> None:
        """Take over new settings."""
        self._log = UpstreamLog(settings.upstream_log, settings.upstream_log_bodies) if settings.upstream_log else None
        self.archiving.use(settings)

    def _running(self) -> dict[str, JsonObject]:
        """The facts of each turn that runs, by the id of its flow."""
        return {flow.id: dict(turn.facts) for flow, turn in self._turns.items() if turn.facts["ended"] < 0}

    def _record(self, flow: str) -> RecordedTurn | None:
        """All that is known of the turn that runs in a flow, copied."""
        found = self._flows.get(flow)
        turn = self._turns.get(found) if found is not None else None
        if found is None or turn is None:
            return None
        turn.note()
        document = document_of(found)
        return document.record if document is not None and not document.is_over else None

    def _lend_secrets(self, origin: str, flow: http.HTTPFlow) -> None:
        """A flow that asks what another one asked gets the key that the other one came with."""
        known = self._flows.get(origin)
        if known is not None and known in self._secrets:
            self._secrets[flow] = self._secrets[known]

    # What the gateway tells -------------------------------------------------------------------------------------------

    def headers(self, flow: http.HTTPFlow) -> dict[str, str]:
        """The client's headers by lower-case name, with the secrets that the flow no longer shows."""
        return messages.read(flow.request.headers) | self._secrets.get(flow, {})

    def begin(self, flow: http.HTTPFlow, headers: Mapping[str, str], body: bytes) -> TurnRecorder:
        """A turn begins. `headers` (by lower-case name) and the decoded `body` are the client's.

        From here on, the flow holds no secret of theirs.
        """
        made = TurnRecorder(
            flow.metadata,
            clock=time.time,
            sessions=self._sessions,
            keep=_is_watched() or self.archiving.path is not None,
            on_round=self._log.write if self._log else None,
        )
        path = flow.request.data.path.decode("utf-8", "replace")
        cleaned = made.requested(flow.request.method, path, headers, body)
        self._turns[flow] = made
        if cleaned != body:
            flow.request.headers.pop("content-encoding", None)
            flow.request.content = cleaned
        self._flows[flow.id] = flow
        self.archiving.begin(flow, made)
        if _has_view():
            made.on_change = self._notifier(flow)
            self._show_in_origin(flow, headers)
        # Of the turn that is replayed.
        flow.comment = ""
        if flow.marked in summary.MARKERS:
            flow.marked = ""
        return made

    def begin_relay(
        self,
        flow: http.HTTPFlow,
        client_headers: Mapping[str, str],
        upstream_headers: Mapping[str, str],
        secrets: Sequence[str],
    ) -> RelayRecorder:
        """An answer will be passed on as it is. Headers come by lower-case name; `secrets` are not shown."""
        return RelayRecorder(flow, client_headers, upstream_headers, secrets)

    def _show_in_origin(self, flow: http.HTTPFlow, headers: Mapping[str, str]) -> None:
        """The flow in which a client asked for a background response shows its rounds, too."""
        origin = self._flows.get(headers.get(FLOW_HEADER, ""))
        if origin is not None:
            self._origins[flow] = ref(origin)
            origin.metadata[turn_recorder.ROUNDS] = flow.metadata[turn_recorder.ROUNDS]

    def _origin(self, flow: http.HTTPFlow) -> list[http.HTTPFlow]:
        """The flow in which a client asked for the background response that this flow makes, if it does."""
        origin = self._origins[flow]() if flow in self._origins else None
        return [] if origin is None else [origin]

    # Hooks ------------------------------------------------------------------------------------------------------------

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._hide_secrets(flow)

    def _hide_secrets(self, flow: http.HTTPFlow) -> None:
        """mitmweb shows flows from their first moment."""
        headers = flow.request.headers
        if self._serves(flow):
            found = {name: value for name, value in messages.read(headers).items() if is_secret(name)}
            if found:
                self._secrets[flow] = found
            for name in found:
                del headers[name]

    def response(self, flow: http.HTTPFlow) -> None:
        self._end(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._end(flow)

    def _end(self, flow: http.HTTPFlow) -> None:
        turn = self._turns.get(flow)
        streamed = False
        if turn is None and not flow.comment and self._serves(flow):
            flow.comment = f"{flow.request.method} {flow.request.path}"
            if flow.live:
                self.archiving.ended(flow, passed=True)
        if turn is not None:
            streamed = flow.response is not None and bool(flow.response.stream)
            if flow.response is not None and not streamed:
                turn.answered(flow.response.raw_content or b"")
            turn.ended(flow.error.msg if flow.error else "")
            flow.marked = flow.marked or summary.marker(turn.facts)
            self._updates.discard(flow)
            flow.comment = summary.comment(turn.facts)
            if streamed and turn.keep and flow.response is not None:
                # Streamed bodies are not stored by mitmproxy, and it sends nothing that is put here.
                flow.response.data.content = turn.events.content()
            if origin := self._origin(flow):
                ctx.master.addons.trigger(UpdateHook(origin))
        self._count(flow, passed=turn is not None, streamed=streamed)

    def _notifier(self, flow: http.HTTPFlow) -> Callable[[], None]:
        """What a recorder calls when there is something new to show. It does not keep the flow alive."""
        known = ref(flow)

        def changed() -> None:
            if (shown := known()) is not None:
                self._updates.add(shown)

        return changed

    def _update(self, flow: http.HTTPFlow) -> None:
        """Show what there is of a turn that runs."""
        turn = self._turns[flow]
        turn.note()
        self.archiving.begun(flow)
        flow.comment = summary.comment(turn.facts)
        if turn.keep and flow.response is not None and flow.response.stream:
            # Only the latest part, because mitmweb hashes the content at each update.
            flow.response.data.content = turn.events.latest()
        ctx.master.addons.trigger(UpdateHook([flow, *self._origin(flow)]))

    def _count(self, flow: http.HTTPFlow, *, passed: bool, streamed: bool) -> None:
        """Count and archive a turn, live or loaded, once, whichever hooks mitmproxy runs for its end."""
        facts = flow.metadata.get(turn_recorder.TURN)
        if isinstance(facts, dict) and self._counted.get(flow) != facts["opened"]:
            self._counted[flow] = facts["opened"]
            self._statistics.add(facts)
            self.archiving.ended(flow, passed=passed, streamed=streamed)


def _has_view() -> bool:
    """Whether this is mitmweb or mitmproxy's console, which keep flows and show them."""
    return ctx.master.addons.get("view") is not None


def _is_watched() -> bool:
    """Whether anything can show or save the bytes of a turn."""
    options = ctx.options
    return _has_view() or any(
        (
            getattr(options, "save_stream_file", None),
            getattr(options, "hardump", None),
            getattr(options, "flow_detail", 1) >= 3,
        )
    )
