"""Which upstream the models of a name or glob go to: as the file says it, and as a variable or an option can."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers.profile import Api
from responses_gateway.protocol.json import loads

_OWN_KEYS = ("provider", "model", "api", "strict")


class ModelRule(BaseModel):
    """The upstream for the models of one name or glob."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: str | None = None
    """`provider`, `provider/model` or another model's name."""

    provider: str | None = None
    model: str | None = None
    api: Api | None = None
    """Replaces that of the provider's profile."""

    strict: bool | None = None
    """The same."""

    card: ModelCard | None = None
    """Only the fields that are set matter: they replace those of the model's card."""


def shaped(name: str, entry: Any) -> Any:
    """What a user wrote for a name, in the shape of ModelRule; what is neither text nor a mapping stays for it."""
    if isinstance(entry, str):
        return {"target": entry}
    if not isinstance(entry, dict):
        return entry
    own = {key: entry[key] for key in _OWN_KEYS if key in entry}
    card = {key: value for key, value in entry.items() if key not in _OWN_KEYS}
    return {**own, "card": {"id": name, **card}} if card else own


def _rules(value: Any) -> Any:
    """Rules that came as text: JSON as in the file, or pairs `NAME=TARGET` with commas between them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        return {name: shaped(name, entry) for name, entry in loads(value).items()}
    rules = {}
    for pair in filter(None, map(str.strip, value.split(","))):
        name, sign, target = (part.strip() for part in pair.partition("="))
        if not (name and sign and target):
            raise ValueError(f"{pair!r} is no pair NAME=TARGET; a list has commas between them")
        rules[name] = {"target": target}
    return rules


type ModelRules = Annotated[dict[str, ModelRule], BeforeValidator(_rules)]
"""By exact names and globs, in the order in which they are tried."""
