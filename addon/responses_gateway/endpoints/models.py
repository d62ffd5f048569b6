"""`GET /v1/models`: one body that is OpenAI's list and Codex's catalogue at once."""

from collections.abc import Iterable
from urllib.parse import unquote

from responses_gateway.catalogue.models import codex_catalogue
from responses_gateway.protocol.errors import GatewayError
from responses_gateway.protocol.http import Answer, Call
from responses_gateway.protocol.json import JsonObject
from responses_gateway.turn.runtime import Runtime
from responses_gateway.upstream.routing import Listed


async def list_models(call: Call, runtime: Runtime) -> Answer:
    await runtime.lists.refresh(call.owner, call.headers)
    return Answer.json(models_body(runtime.router.of(call.owner).models(), call.value("client_version")))


async def retrieve_model(call: Call, runtime: Runtime, *path: str) -> Answer:
    """`path` is the model's id, cut at its slashes."""
    await runtime.lists.refresh(call.owner, call.headers)
    name = unquote("/".join(path))
    body = model_body(runtime.router.of(call.owner).models(), name)
    if body is None:
        raise GatewayError(f"The model {name!r} does not exist.", 404, "model_not_found", param="model")
    return Answer.json(body)


def models_body(models: Iterable[Listed], client_version: str | None = None) -> JsonObject:
    """`client_version` is Codex's query parameter of that name.

    `data` lists what is there, as OpenAI does; `models` is Codex's catalogue, which has hidden entries too, so that
    Codex knows models that its user names without having seen them in a list."""
    rows = list(models)
    known = codex_catalogue.known_efforts(client_version)
    return {
        "object": "list",
        "data": [_model(row) for row in rows if not row.assumed],
        "models": [
            codex_catalogue.entry(
                row.id,
                row.route.card,
                priority=position,
                listed=not row.assumed,
                verbosity="verbosity" in row.route.profile.parameters.accept,
                known=known,
            )
            for position, row in enumerate(rows, 1)
        ],
    }


def model_body(models: Iterable[Listed], name: str) -> JsonObject | None:
    """One model, as `GET /v1/models/NAME` answers; None when there is none."""
    return next((_model(row) for row in models if row.id == name), None)


def _model(row: Listed) -> JsonObject:
    created = row.details.get("created")
    return {
        "id": row.id,
        "object": "model",
        "created": created if isinstance(created, int) else 0,
        "owned_by": row.route.provider,
    }
