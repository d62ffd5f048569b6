"""The declaration of web_search: what is understood of it, which functions stand for it, and what clients see."""

from typing import Any

import pytest

from responses_gateway.hosted.search_declaration import (
    Location,
    SearchForm,
    SearchSettings,
    action,
    search_functions,
    search_settings,
)
from responses_gateway.translate.ledger import Ledger
from responses_gateway.translate.tools.hosted import Source

Json = dict[str, Any]


def understood(**declaration: Any) -> tuple[SearchSettings, list[str]]:
    ledger = Ledger()
    settings = search_settings({"type": "web_search", **declaration}, ledger)
    return settings, [str(entry) for entry in ledger.entries]


def test_nothing_said_is_nothing_limited() -> None:
    assert understood() == (SearchSettings((), (), None, "medium", True), [])


@pytest.mark.parametrize(("size", "known"), [("low", "low"), ("medium", "medium"), ("high", "high"), ("x", "medium")])
def test_sizes(size: str, known: str) -> None:
    assert understood(search_context_size=size)[0].context_size == known


def test_domains_are_bare_and_single() -> None:
    filters = {
        "allowed_domains": ["https://Example.org/docs", "example.org.", "b.example", 5, "", "https://"],
        "blocked_domains": ["http://bad.example/x/y"],
    }
    settings, _ = understood(filters=filters)
    assert settings.allowed_domains == ("example.org", "b.example")
    assert settings.blocked_domains == ("bad.example",)


@pytest.mark.parametrize("filters", [None, "x", {}, {"allowed_domains": "example.org"}])
def test_filters_of_no_use(filters: Any) -> None:
    assert understood(filters=filters)[0].allowed_domains == ()


@pytest.mark.parametrize(
    "where",
    [
        {"type": "approximate", "city": " Paris ", "country": "FR", "timezone": 5},
        {"type": "approximate", "approximate": {"city": "Paris", "country": "FR"}},
    ],
)
def test_a_location(where: Json) -> None:
    location = understood(user_location=where)[0].location
    assert location == Location("Paris", "", "FR", "")
    assert str(location) == "Paris, FR"


@pytest.mark.parametrize("where", [None, "Paris", {}, {"city": " "}])
def test_no_location(where: Any) -> None:
    assert understood(user_location=where)[0].location is None


def test_the_whole_of_a_location() -> None:
    where = {"city": "Paris", "region": "IDF", "country": "FR", "timezone": "Europe/Paris"}
    assert str(understood(user_location=where)[0].location) == "Paris, IDF, FR, Europe/Paris"


def test_without_access_to_the_web_no_page_is_opened_and_that_is_said() -> None:
    settings, noted = understood(external_web_access=False)
    assert not settings.open_pages
    assert noted == ["changed tools.web_search.external_web_access: false: searches only, no page is opened"]
    assert [function.name for function in search_functions(settings, SearchForm())] == ["web_search"]
    assert understood(external_web_access=True) == understood()


def test_only_text_is_searched_and_that_is_said() -> None:
    assert understood(search_content_types=["text"])[1] == []
    assert understood(search_content_types=["text", "image"])[1] == [
        "dropped tools.web_search.search_content_types: only text is searched for"
    ]


def test_the_functions_and_their_schemas() -> None:
    functions = search_functions(SearchSettings(), SearchForm())
    required = {"web_search": ["query"], "open_page": ["url"], "find_in_page": ["url", "pattern"]}
    assert {function.name: function.schema["required"] for function in functions} == required
    for function in functions:
        assert function.schema["type"] == "object"
        assert function.schema["additionalProperties"] is False
        assert {name: entry["type"] for name, entry in function.schema["properties"].items()} == dict.fromkeys(
            required[function.name], "string"
        )
        assert all(entry["description"] for entry in function.schema["properties"].values())


def test_the_model_is_told_of_location_and_domains() -> None:
    [search, *_] = search_functions(
        SearchSettings(("a.example", "b.example"), (), Location(city="Paris")), SearchForm()
    )
    assert "location: Paris." in search.description
    assert "Only these domains are searched: a.example, b.example." in search.description
    [plain, *_] = search_functions(SearchSettings(location=Location()), SearchForm())
    assert "location" not in plain.description
    assert "domains" not in plain.description


@pytest.mark.parametrize(
    ("name", "arguments", "shown"),
    [
        ("web_search", {"query": "q"}, {"type": "search", "query": "q", "queries": ["q"]}),
        ("web_search", {"query": 5}, {"type": "search", "query": "", "queries": []}),
        ("open_page", {"url": "https://a.example"}, {"type": "open_page", "url": "https://a.example"}),
        ("open_page", {}, {"type": "open_page", "url": ""}),
        ("find_in_page", {"url": "u", "pattern": "p"}, {"type": "find_in_page", "url": "u", "pattern": "p"}),
    ],
)
def test_actions(name: str, arguments: Json, shown: Json) -> None:
    assert action(name, arguments) == shown


def test_sources_are_shown_to_who_wants_them() -> None:
    wanted = action("web_search", {"query": "q"}, [Source("https://a.example", "A")])
    assert wanted["sources"] == [{"type": "url", "url": "https://a.example"}]
    assert action("web_search", {"query": "q"}, [])["sources"] == []
