import json

import pytest
from openai.types import Model

from responses_gateway.catalogue.models import codex_catalogue
from responses_gateway.catalogue.models import shipped as catalogue
from responses_gateway.catalogue.models import upstream_listing as listing
from responses_gateway.catalogue.models.card import ModelCard
from responses_gateway.catalogue.providers import shipped as providers
from responses_gateway.endpoints.models import model_body, models_body
from responses_gateway.settings.loading import load_settings
from responses_gateway.upstream.routing import Router

REQUIRED_BY_CODEX = {
    "slug",
    "display_name",
    "supported_reasoning_levels",
    "shell_type",
    "visibility",
    "supported_in_api",
    "priority",
    "base_instructions",
    "support_verbosity",
    "truncation_policy",
    "experimental_supported_tools",
}
TEXT = {"text"}
VISION = {"text", "image", "video"}


@pytest.mark.parametrize(
    ("model", "window", "output", "prices", "modalities"),
    [
        ("kimi-k2.6", 262_144, 65_536, (0.32, 1.34), VISION),
        ("kimi-k2.5", 262_144, 65_536, (0.60, 3.00), VISION),
        ("glm-5", 204_800, 131_072, (1.00, 3.20), TEXT),
        ("glm-5.1", 204_800, 131_072, (1.40, 4.40), TEXT),
        ("qwen3.5-plus", 262_144, 65_536, (0.20, 1.20), VISION),
        ("qwen3.6-plus", 262_144, 65_536, (0.50, 3.00), VISION),
        ("mimo-v2-pro", 1_048_576, 64_000, (1.00, 3.00), TEXT),
        ("mimo-v2-omni", 262_144, 64_000, (0.40, 2.00), {"text", "image", "audio", "pdf"}),
        ("minimax-m2.5", 204_800, 65_536, (0.30, 1.20), TEXT),
        ("minimax-m2.7", 204_800, 131_072, (0.30, 1.20), TEXT),
    ],
)
def test_the_models_of_the_opencode_gateway(model, window, output, prices, modalities):
    card = catalogue.shipped()[model]
    assert (card.context_window, card.max_output_tokens) == (window, output)
    assert (card.price.input, card.price.output) == prices
    assert {*card.modalities} == modalities
    assert card.tools
    assert "opencode-go" in card.providers


def test_a_price_may_rise_with_the_prompt():
    price = catalogue.shipped()["mimo-v2-pro"].price
    assert (price.above, price.input_above, price.output_above) == (200_000, 2.00, 6.00)


def test_cards_name_shipped_providers_only():
    named = {name for card in catalogue.shipped().values() for name in card.providers}
    assert named <= {*providers.shipped()}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("kimi-k2.6", "kimi-k2.6"),
        ("moonshotai/Kimi-K2.6", "kimi-k2.6"),
        ("hf:zai-org/GLM-5.1", "glm-5.1"),
        ("accounts/fireworks/models/kimi-k2p6", "kimi-k2.6"),
        ("openai/gpt-oss-120b:free", "gpt-oss-120b"),
        ("MiniMax-M2.7-highspeed", "minimax-m2.7"),
        ("something-new", None),
    ],
)
def test_a_card_is_found_by_any_providers_id(model, expected):
    card = catalogue.find(model)
    assert (card.id if card else None) == expected


def test_changes_replace_only_what_they_set():
    card = ModelCard(id="a", context_window=10, efforts=["low"])
    changed = catalogue.changed(card, ModelCard(id="b", context_window=20))
    assert (changed.id, changed.context_window, changed.efforts) == ("a", 20, ["low"])


@pytest.mark.parametrize(
    ("details", "window", "output"),
    [
        ({"max_model_len": 5}, 5, 7),
        ({"context_length": 6, "top_provider": {"context_length": 5, "max_completion_tokens": 4}}, 5, 4),
        ({"meta": {"n_ctx": 9}}, 9, 7),
        ({"context_window": None, "top_provider": None}, 8, 7),
    ],
)
def test_an_upstreams_own_limits_count(details, window, output):
    card = listing.described(ModelCard(id="m", context_window=8, max_output_tokens=7), details)
    assert (card.context_window, card.max_output_tokens) == (window, output)


def test_an_upstreams_own_modalities_count():
    details = {"architecture": {"input_modalities": ["text", "file", "smell"]}}
    assert listing.described(ModelCard(id="m"), details).modalities == ["text", "pdf"]


@pytest.mark.parametrize("card", [*catalogue.shipped().values(), ModelCard(id="unknown")], ids=lambda card: card.id)
def test_every_entry_is_complete_for_codex(card):
    entry = codex_catalogue.entry(card.id, card, priority=1)
    assert {*entry} >= REQUIRED_BY_CODEX
    assert entry["apply_patch_tool_type"] == "freeform"
    assert entry["context_window"] > 0
    assert {*entry["input_modalities"]} <= {"text", "image"}
    efforts = [level["effort"] for level in entry["supported_reasoning_levels"]]
    assert bool(efforts) == card.reasoning
    assert entry.get("default_reasoning_level") in (efforts or [None])


@pytest.mark.parametrize(
    ("version", "takes_max"),
    [("0.111.0", False), ("0.137.0", False), ("0.138.0", True), ("0.169.0-x.1", True), (None, True)],
)
def test_old_codex_is_told_no_effort_that_it_cannot_parse(version, takes_max):
    card = catalogue.shipped()["glm-5.2"]
    entry = codex_catalogue.entry("m", card, priority=1, known=codex_catalogue.known_efforts(version))
    assert ("max" in [level["effort"] for level in entry["supported_reasoning_levels"]]) is takes_max


def test_a_model_without_tools_is_offered_no_patch_tool():
    entry = codex_catalogue.entry("m", ModelCard(id="m", tools=False), priority=1)
    assert entry["apply_patch_tool_type"] is None


def test_the_instructions_show_a_whole_patch():
    text = codex_catalogue.base_instructions()
    assert "*** Begin Patch" in text
    assert "*** End Patch" in text


@pytest.fixture
def router(tmp_path):
    def make(reverse_url, **environ):
        return Router(load_settings({}, {"HOME": str(tmp_path), **environ}), reverse_url)

    return make


def test_one_body_is_openais_list_and_codexs_catalogue(router):
    body = json.loads(json.dumps(models_body(router("https://opencode.ai", OPENCODE_API_KEY="k").models())))
    assert body["object"] == "list"
    models = [Model.model_validate(item) for item in body["data"]]
    assert "kimi-k2.6" in {model.id for model in models}
    slugs = [entry["slug"] for entry in body["models"]]
    assert slugs == [model.id for model in models]
    assert all(entry["visibility"] == "list" for entry in body["models"])


def test_models_that_only_may_be_there_are_known_to_codex_but_not_listed(router):
    routes = router("http://127.0.0.1:9")
    routes.learn("openai-compatible", [{"id": "local/one", "created": 5}])
    body = models_body(routes.models())
    assert body["data"] == [{"id": "one", "object": "model", "created": 5, "owned_by": "openai-compatible"}]
    visibility = {entry["slug"]: entry["visibility"] for entry in body["models"]}
    assert visibility["one"] == "list"
    assert visibility["kimi-k2.6"] == "hide"


def test_one_model_by_its_id(router):
    models = router("https://opencode.ai").models()
    assert model_body(models, "kimi-k2.6")["id"] == "kimi-k2.6"
    assert model_body(models, "nothing") is None
