"""Names the models that an upstream has, in the error that says it has not got the one that was asked for."""

from collections.abc import Mapping
from difflib import get_close_matches

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.turn.turn_services import TurnServices
from responses_gateway.upstream.routing import Route

_MODELS_NAMED = 10


async def name_models(
    error: GatewayError, route: Route, owner: str, headers: Mapping[str, str], services: TurnServices
) -> None:
    """Add to the message of `error` which models the upstream has, as far as it tells. It is asked, with these request
    headers, while none is known, but not again when it did not tell."""
    router, asked = services.router.of(owner), (owner, route.base_url)
    ids = router.listed(route.provider)
    if not ids and asked not in services.telling_no_models:
        entries = await services.fetch_models(route, headers)
        if entries is None:
            services.telling_no_models.add(asked)
        else:
            router.learn(route.provider, entries)
            ids = router.listed(route.provider)
    message = error.message.rstrip(". ")
    if ids:
        near = get_close_matches(route.model, ids, _MODELS_NAMED, cutoff=0.4)
        named = list(dict.fromkeys([*near, *ids]))[:_MODELS_NAMED]
        more = f" and {len(ids) - len(named)} more" if len(ids) > len(named) else ""
        error.message = f"{message}. {route.profile.name} has {', '.join(named)}{more}."
    elif error.code == "not_found":
        error.message = f"{message}. Is the base URL {route.base_url} right?"
