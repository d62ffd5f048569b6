"""What an upstream says of itself: of which kind its server is, and what its models can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.catalogue.providers.shipped import COMMON_GROUND, shipped
from responses_gateway.catalogue.yaml_file import merge
from responses_gateway.protocol.json import JsonObject
from responses_gateway.upstream.upstreams import Upstream


@dataclass(frozen=True)
class Server:
    """The words of one upstream, as far as they are understood."""

    kind: str | None = None
    """Name of the shipped profile for such servers; None: it showed no sign of any."""

    cards: Mapping[str, JsonObject] = field(default_factory=dict)
    """Fields of ModelCards by the model's id there; under the empty id, those of every model."""

    def described(self, card: ModelCard, model: str) -> ModelCard:
        """`card` with what the server says of the model with this id."""
        said = {**self.cards.get("", {}), **self.cards.get(model, {})}
        return card.model_copy(update=said) if said else card


def served_by(upstream: Upstream, server: Server) -> Upstream:
    """The upstream with the profile for such servers, where neither the configuration nor the address chooses one."""
    kind = shipped().get(server.kind or "")
    if kind is None or upstream.changes is None:
        return upstream
    known = upstream.profile
    own = {
        **upstream.changes,
        "name": kind.name if known.name == COMMON_GROUND.name else known.name,
        "base_url": known.base_url,
        "headers": {**kind.headers, **known.headers},
    }
    profile = Profile.model_validate(merge(kind.model_dump(), own))
    return replace(upstream, profile=profile, detected=kind.name)
