"""The shipped model cards, and the search for the card of a model id."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.yaml_file import merge, read


@cache
def shipped() -> dict[str, ModelCard]:
    """All cards that come with the package, by id.

    A file maps ids to cards; its key `defaults` holds what all its cards share. In `providers`, a list means that the
    model has its own id there.
    """
    cards: dict[str, ModelCard] = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".yaml"):
            data = read(entry.read_text(encoding="utf-8")).value
            defaults = data.pop("defaults", {})
            cards.update((name, _card(name, merge(defaults, own))) for name, own in data.items())
    return cards


def find(model: str) -> ModelCard | None:
    """The card for a model id as any provider may write it; None for an unknown model.

    A vendor's prefix (`moonshotai/…`), a variant's suffix (`…:free`) and the case of letters do not matter.
    """
    name = model.lower().rsplit("/", 1)[-1]
    base = name.split(":", 1)[0]
    for candidate in (name, base):
        if (card := shipped().get(candidate)) is not None:
            return card
    globs = ((glob, card) for card in shipped().values() for glob in card.aliases)
    matching = [(len(glob.replace("*", "")), card) for glob, card in globs if fnmatchcase(base, glob)]
    return max(matching, key=lambda pair: pair[0])[1] if matching else None


def changed(card: ModelCard, changes: ModelCard) -> ModelCard:
    """`card` with the fields that are set in `changes`."""
    return card.model_copy(update={name: getattr(changes, name) for name in changes.model_fields_set - {"id"}})


def _card(name: str, data: Mapping[str, Any]) -> ModelCard:
    providers = data.get("providers", [])
    if isinstance(providers, list):
        providers = dict.fromkeys(providers, name)
    return ModelCard.model_validate({"id": name, **data, "providers": providers})
