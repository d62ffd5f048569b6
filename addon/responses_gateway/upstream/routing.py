"""Which upstream, which model, which key: one answer for each request's `model`."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

from responses_gateway.catalogue.models import shipped as cards
from responses_gateway.catalogue.models import upstream_listing as listing
from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Api
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.json import JsonObject
from responses_gateway.settings.model_rules import ModelRule
from responses_gateway.settings.settings import Settings
from responses_gateway.upstream import upstreams
from responses_gateway.upstream.server import Server, served_by
from responses_gateway.upstream.upstreams import Upstream

OWNERS = 256
"""Owners whose own lists are remembered; the one who did not ask for longest goes first."""


@dataclass(frozen=True)
class Route(Upstream):
    """Where one model goes. `profile` has the exceptions for the model applied."""

    card: ModelCard
    model: str
    """The name sent upstream."""

    @property
    def api(self) -> Api:
        """How the model is asked. Only what is translated can keep denied tools from it."""
        return "chat" if self.profile.tools.deny else self.profile.api


class Listed(NamedTuple):
    """One model of the list that clients see."""

    id: str
    """Without a slash; `Router.resolve` takes it."""

    route: Route
    assumed: bool
    """Whether nobody said that the upstream has the model: it is only possible."""

    details: JsonObject
    """The upstream's own entry; empty without one."""


class Router:
    """Answers `resolve` from the settings and from the upstreams' own model lists, as far as they are learnt.

    `reverse_url` is the target of `mitmdump --mode reverse:URL`.
    """

    def __init__(self, settings: Settings, reverse_url: str | None = None) -> None:
        self._settings = settings
        self._providers = upstreams.configured(settings)
        self._default = upstreams.default(settings, reverse_url, self._providers)
        self._lists: dict[str, dict[str, JsonObject]] = {}
        self._servers: dict[str, Server] = {}
        self._served: dict[str, Upstream] = {}
        self._offered: list[Listed] | None = None
        self._routers: OrderedDict[str, Router] = OrderedDict()

    def of(self, owner: str) -> "Router":
        """The router for the requests of one owner.

        Where an upstream gets the client's own key, its list is the client's, and nobody else's.
        """
        if not owner or not any(upstream.forward_authorization for upstream in self.upstreams()):
            return self
        router = self._routers.pop(owner, None)
        if router is None:
            router = copy(self)
            router._lists, router._offered, router._routers = {}, None, OrderedDict()
            router._servers, router._served = {}, {}
        self._routers[owner] = router
        while len(self._routers) > OWNERS:
            self._routers.popitem(last=False)
        return router

    def upstreams(self) -> list[Upstream]:
        """The upstreams in use, the default one first: what to ask for model lists, and what to check."""
        others = list(self._providers.values())
        if not others and self._default is None:
            others = upstreams.ready_made(self._settings)
        if self._default is None:
            return others
        return [self._default, *(item for item in others if item.provider != self._default.provider)]

    def upstream(self, provider: str) -> Upstream | None:
        """The upstream of that name; None when there is none."""
        return self._named(provider)

    def learn(self, provider: str, entries: Sequence[JsonObject]) -> None:
        """Take note of an upstream's own model list (`data` of its /models)."""
        self._lists[provider] = {entry["id"]: entry for entry in entries if isinstance(entry.get("id"), str)}
        self._offered = None

    def identify(self, upstream: Upstream, server: Server) -> None:
        """Take note of what an upstream, one of `upstreams`, says of itself."""
        self._servers[upstream.provider] = server
        self._served[upstream.provider] = served_by(upstream, server)
        self._offered = None

    def listed(self, provider: str) -> list[str] | None:
        """The ids of an upstream's own model list; None when it is not learnt."""
        there = self._lists.get(provider)
        return None if there is None else list(there)

    def resolve(self, model: str | None) -> Route:
        """Where a request's `model` goes; raises GatewayError `model_not_found`.

        The order: the file's `models` by exact name, then by glob; `provider/model`; the ids of `models`; the default
        upstream, which takes every other name as it is.
        """
        default = self._settings.default_model
        name = default if default and model in (None, "", _flat(default)) else model
        if not name:
            raise _not_found("The request names no model, and no default_model is configured.")
        route = self._find(name, frozenset())
        if route is None:
            raise _not_found(self._advice(name))
        return self._overridden(name, route)

    def models(self) -> list[Listed]:
        """The file's models, and what the upstreams in use have or may have, by ids without slashes."""
        names = [name for name in (self._settings.default_model, *self._settings.models) if name and not _is_glob(name)]
        ruled = {_flat(name): name for name in names}
        found = ((id, self._find(name, frozenset())) for id, name in ruled.items())
        own = [Listed(id, self._overridden(id, route), False, {}) for id, route in found if route is not None]
        others = (item for item in self._offers() if item.id not in ruled)
        return own + [item._replace(route=self._overridden(item.id, item.route)) for item in others]

    def _find(self, name: str, seen: frozenset[str]) -> Route | None:
        rule = None if name in seen else self._rule(name)
        if rule is None:
            return self._unruled(name)
        provider, _, model = (rule.target or "").partition("/")
        upstream = self._named(rule.provider or provider)
        if upstream is not None:
            route: Route | None = self._route(upstream, rule.model or model or name)
        else:
            route = self._find(rule.target or rule.model or name, seen | {name})
        own = {"api": rule.api, "strict": rule.strict}
        if route is not None and (changes := {name: value for name, value in own.items() if value is not None}):
            route = replace(route, profile=route.profile.model_copy(update=changes))
        return route and _changed(route, rule.card)

    def _rule(self, name: str) -> ModelRule | None:
        rules = self._settings.models
        exact = (rule for key, rule in rules.items() if name in (key, _flat(key)))
        globs = (rule for glob, rule in rules.items() if fnmatchcase(name.lower(), glob.lower()))
        return next(exact, None) or next(globs, None)

    def _unruled(self, name: str) -> Route | None:
        provider, _, model = name.partition("/")
        if model and (upstream := next((item for item in self.upstreams() if item.provider == provider), None)):
            return self._route(upstream, model)
        offer = next((item for item in self._offers() if item.id == name), None)
        if self._default is not None and (offer is None or offer.assumed):
            return self._route(self._default, name)
        return offer and offer.route

    def _overridden(self, name: str, route: Route) -> Route:
        """With the changes that `model_capabilities` has for the name, or else for the name sent upstream."""
        capabilities = self._settings.model_capabilities
        return _changed(route, capabilities.get(name) or capabilities.get(route.model))

    def _named(self, provider: str) -> Upstream | None:
        if self._default is not None and self._default.provider == provider:
            return self._default
        return self._providers.get(provider) or upstreams.provider_of(provider, self._settings)

    def _route(self, upstream: Upstream, name: str) -> Route:
        card = cards.find(name)
        model = self._id_there(upstream, name, card)
        served = self._served.get(upstream.provider, upstream)
        values = {field.name: getattr(served, field.name) for field in fields(upstream)}
        values["profile"] = upstreams.with_settings(served.profile.for_model(model), self._settings)
        described = listing.described(card or ModelCard(id=name), self._lists.get(upstream.provider, {}).get(model, {}))
        if (server := self._servers.get(upstream.provider)) is not None:
            described = server.described(described, model)
        return Route(**values, card=described, model=model)

    def _id_there(self, upstream: Upstream, name: str, card: ModelCard | None) -> str:
        """The id that a model has at an upstream: what its list says, else what the card says, else the name."""
        there = self._lists.get(upstream.provider, {})
        if name in there:
            return name
        same = [model for model in there if model.rsplit("/", 1)[-1] == name]
        if len(same) == 1:
            return same[0]
        return card.providers.get(upstream.base, name) if card is not None and card.id == name else name

    def _offers(self) -> list[Listed]:
        if self._offered is None:
            # Assigned as a whole: large requests ask from threads of their own.
            offered: list[Listed] = []
            taken: set[str] = set()
            for item in self._offers_by_full_id():
                last = item.route.model.rsplit("/", 1)[-1]
                choices = (last, f"{item.route.provider}-{last}", _flat(item.id))
                id = next((choice for choice in choices if choice not in taken), None)
                if id is not None:
                    taken.add(id)
                    offered.append(item._replace(id=id))
            self._offered = offered
            return offered
        return self._offered

    def _offers_by_full_id(self) -> Iterator[Listed]:
        """What the upstreams list, then what cards say of them; a default one that no card knows may have any model."""
        for upstream in self.upstreams():
            there = self._lists.get(upstream.provider)
            for model, details in (there or {}).items():
                yield Listed(f"{upstream.provider}/{model}", self._route(upstream, model), False, details)
            known = [card for card in cards.shipped().values() if upstream.base in card.providers]
            possible = cards.shipped().values() if upstream is self._default else ()
            for card in known or possible:
                route = self._route(upstream, card.id)
                if route.model not in (there or ()):
                    yield Listed(f"{upstream.provider}/{route.model}", route, not known or there is not None, {})

    def _advice(self, name: str) -> str:
        if not self.upstreams():
            return f"No provider is configured, so {name!r} goes nowhere. Set a provider's key, or gateway_upstream."
        ids = [item.id for item in self.models()]
        near = get_close_matches(name, ids, 3)
        listed = f"Did you mean {', '.join(near)}?" if near else f"Known models: {', '.join(ids[:20])}."
        return f"The model {name!r} is not configured. {listed}"


def _is_glob(name: str) -> bool:
    return any(char in name for char in "*?[")


def _flat(name: str) -> str:
    return name.replace("/", "-")


def _changed(route: Route, changes: ModelCard | None) -> Route:
    return replace(route, card=cards.changed(route.card, changes)) if changes is not None else route


def _not_found(message: str) -> GatewayError:
    return GatewayError(message, status=400, code="model_not_found", param="model")
