from base64 import b64decode

import pytest

from responses_gateway.protocol.errors import GatewayError
from responses_gateway.settings.loading import load_settings
from responses_gateway.upstream.routing import Router
from responses_gateway.upstream.upstreams import request_headers

KEYS = {"DEEPSEEK_API_KEY": "sk-deepseek", "MOONSHOT_API_KEY": "sk-moonshot", "OPENAI_API_KEY": "sk-openai"}


@pytest.fixture
def router(tmp_path):
    """Makes a Router from a file's text, an environment and options."""

    def make(text="", environ=None, reverse_url=None, **options):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        environ = {"HOME": str(tmp_path), **(environ or {})}
        given = {f"gateway_{name}": value for name, value in options.items()}
        return Router(load_settings(given, environ, path), reverse_url)

    return make


def where(route):
    return route.provider, route.model, route.base_url


def key(route):
    return route.api_key.get_secret_value() if route.api_key else None


CONFIG = """
default_model: deepseek-v4-pro
providers:
  deepseek: {api_key: $DEEPSEEK_API_KEY}
  moonshot: {}
  my-vllm: {base_url: http://127.0.0.1:8000/v1/, profile: vllm}
models:
  gpt-5.5: deepseek/deepseek-v4-pro
  codex-auto-review: gpt-5.5
  "qwen-*": my-vllm
  my-model: {provider: my-vllm, model: Qwen/Qwen3-Coder, context_window: 1234, tools: false}
  team/model: moonshot/kimi-k2.6
  deepseek-v4-flash: {max_output_tokens: 77}
"""
DEEPSEEK = "https://api.deepseek.com/v1"
MOONSHOT = "https://api.moonshot.ai/v1"
VLLM = "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (None, ("deepseek", "deepseek-v4-pro", DEEPSEEK)),
        ("deepseek-v4-pro", ("deepseek", "deepseek-v4-pro", DEEPSEEK)),
        ("gpt-5.5", ("deepseek", "deepseek-v4-pro", DEEPSEEK)),
        ("codex-auto-review", ("deepseek", "deepseek-v4-pro", DEEPSEEK)),
        ("qwen-next", ("my-vllm", "qwen-next", VLLM)),
        ("my-model", ("my-vllm", "Qwen/Qwen3-Coder", VLLM)),
        ("my-vllm/meta/llama", ("my-vllm", "meta/llama", VLLM)),
        ("kimi-k2.6", ("moonshot", "kimi-k2.6", MOONSHOT)),
        ("team/model", ("moonshot", "kimi-k2.6", MOONSHOT)),
        ("team-model", ("moonshot", "kimi-k2.6", MOONSHOT)),
        ("deepseek-v4-flash", ("deepseek", "deepseek-v4-flash", DEEPSEEK)),
    ],
)
def test_models_are_routed_by_name_alias_glob_prefix_and_card(router, model, expected):
    assert where(router(CONFIG, KEYS).resolve(model)) == expected


def test_a_rule_changes_the_card(router):
    routes = router(CONFIG, KEYS)
    mine = routes.resolve("my-model").card
    assert (mine.context_window, mine.tools) == (1234, False)
    flash = routes.resolve("deepseek-v4-flash").card
    assert (flash.max_output_tokens, flash.context_window) == (77, 1_048_576)


def test_capabilities_change_the_card_by_either_name(router):
    routes = router(
        CONFIG, KEYS, model_capabilities='{"Qwen/Qwen3-Coder": {"tools": true}, "kimi-k2.6": {"tools": false}}'
    )
    assert routes.resolve("my-model").card.tools
    assert not routes.resolve("team/model").card.tools
    assert {item.id: item.route.card.tools for item in routes.models()}["team-model"] is False


def test_aliases_that_go_in_a_circle_end(router):
    with pytest.raises(GatewayError):
        router(CONFIG.replace("models:", "models:\n  a: b\n  b: a"), KEYS).resolve("a")


def test_an_unknown_model_is_refused_with_the_nearest_names(router):
    with pytest.raises(GatewayError, match=r"kimi-k2\.6") as caught:
        router(CONFIG, KEYS).resolve("kimi-k2-6")
    assert (caught.value.status, caught.value.code, caught.value.param) == (400, "model_not_found", "model")


def test_no_model_and_no_default_is_refused(router):
    with pytest.raises(GatewayError, match="default_model"):
        router(reverse_url="http://127.0.0.1:9").resolve(None)


def test_without_any_provider_the_message_says_what_to_do(router):
    with pytest.raises(GatewayError, match="gateway_upstream"):
        router().resolve("m")


@pytest.mark.parametrize("model", ["m", "deepseek/deepseek-v4-pro", "kimi-k2.6", "a/b/c"])
def test_a_bare_reverse_proxy_sends_everything_to_its_target(router, model):
    route = router(environ=KEYS, reverse_url="http://127.0.0.1:9999").resolve(model)
    assert where(route) == ("openai-compatible", model, "http://127.0.0.1:9999/v1")
    assert key(route) is None
    assert route.forward_authorization


@pytest.mark.parametrize(
    ("reverse_url", "options", "base_url", "provider"),
    [
        ("https://api.deepseek.com", {}, DEEPSEEK, "deepseek"),
        ("https://api.groq.com:443", {}, "https://api.groq.com:443/openai/v1", "groq"),
        ("https://opencode.ai", {}, "https://opencode.ai/zen/go/v1", "opencode-go"),
        (
            "https://opencode.ai",
            {"upstream": "https://opencode.ai/zen/v1"},
            "https://opencode.ai/zen/v1",
            "opencode-zen",
        ),
        (None, {"upstream": "https://host/api/"}, "https://host/api", "openai-compatible"),
        (None, {"upstream": "https://host/v2/chat/completions"}, "https://host/v2", "openai-compatible"),
        ("http://127.0.0.1:9", {"provider": "groq"}, "http://127.0.0.1:9/openai/v1", "groq"),
        ("http://127.0.0.1:9", {"provider": "azure"}, "http://127.0.0.1:9/v1", "azure"),
        ("http://localhost:11434", {}, "http://localhost:11434/v1", "ollama"),
        (None, {"provider": "deepseek"}, DEEPSEEK, "deepseek"),
    ],
)
def test_the_default_upstream(router, reverse_url, options, base_url, provider):
    route = router(environ=KEYS, reverse_url=reverse_url, **options).resolve("m")
    assert (route.base_url, route.provider) == (base_url, provider)


def test_a_profile_without_an_address_needs_an_upstream(router):
    with pytest.raises(GatewayError, match="gateway_upstream"):
        router(provider="azure").resolve("m")


def test_one_key_in_the_environment_is_configuration_enough(router):
    route = router(environ={"DEEPSEEK_API_KEY": "sk"}).resolve("m")
    assert (where(route), key(route)) == (("deepseek", "m", DEEPSEEK), "sk")


def test_several_keys_in_the_environment_serve_the_models_of_their_providers(router):
    routes = router(environ=KEYS)
    assert where(routes.resolve("kimi-k2.6")) == ("moonshot", "kimi-k2.6", MOONSHOT)
    assert where(routes.resolve("deepseek/x")) == ("deepseek", "x", DEEPSEEK)


def test_each_provider_gets_its_own_key(router):
    routes = router(CONFIG, KEYS)
    assert (key(routes.resolve("deepseek-v4-pro")), routes.resolve("gpt-5.5").key_source) == (
        "sk-deepseek",
        "DEEPSEEK_API_KEY",
    )
    assert key(routes.resolve("kimi-k2.6")) == "sk-moonshot"
    assert key(routes.resolve("qwen-next")) is None


@pytest.mark.parametrize(
    ("text", "options", "reverse_url"),
    [
        ("", {"provider": "deepseek"}, "https://elsewhere.example"),
        ("", {"provider": "deepseek", "upstream": "https://elsewhere.example/v1"}, None),
        ("providers:\n  deepseek: {base_url: 'https://elsewhere.example/v1'}\n", {}, None),
        ("providers:\n  mine: {base_url: 'https://elsewhere.example/v1', profile: deepseek}\n", {}, None),
        ("providers:\n  deepseek: {api_key: sk-literal}\n", {"provider": "deepseek"}, "https://elsewhere.example"),
    ],
)
def test_a_providers_key_stays_with_its_hosts(router, text, options, reverse_url):
    route = router(text, {"DEEPSEEK_API_KEY": "sk-deepseek"}, reverse_url, **options).resolve("m")
    assert "elsewhere.example" in route.base_url
    assert key(route) is None


@pytest.mark.parametrize("more", ["", ", forward_authorization: true", ", profile: vllm", ", headers: {x-a: b}"])
def test_openais_key_goes_to_no_provider_of_the_file(router, more):
    text = f"providers:\n  mine: {{base_url: 'https://elsewhere.example/v1'{more}}}\n"
    assert key(router(text, {"OPENAI_API_KEY": "sk-openai"}).resolve("m")) is None


def test_headers_that_the_file_has_for_a_host_stay_with_it(router):
    text = "providers:\n  mine: {base_url: 'https://mine.example/v1', headers: {x-mine: header-secret}}\n"
    mine = router(text).resolve("m")
    assert request_headers(mine, {}, None, "*/*")["x-mine"] == "header-secret"
    assert "header-secret" in mine.secrets
    elsewhere = router(text, provider="mine", reverse_url="https://elsewhere.example").resolve("m")
    assert elsewhere.base_url == "https://elsewhere.example/v1"
    assert "x-mine" not in request_headers(elsewhere, {}, None, "*/*")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {"upstream": "https://user:pass%40word@elsewhere.example/v1"}),
        ("providers:\n  mine: {base_url: 'https://user:pass%40word@elsewhere.example/v1'}\n", {}),
    ],
)
def test_a_password_in_an_address_is_sent_but_not_shown(router, text, options):
    route = router(text, **options).resolve("m")
    assert route.base_url == "https://elsewhere.example/v1"
    sent = request_headers(route, {}, None, "*/*")["authorization"]
    assert b64decode(sent.removeprefix("Basic ")) == b"user:pass@word"
    assert sent.removeprefix("Basic ") in route.secrets


def test_a_host_that_only_looks_alike_gets_no_key(router):
    for host in ("api.deepseek.com.evil.example", "evil-api.deepseek.com", "api.deepseek.com:8443@evil.example"):
        assert key(router(environ=KEYS, reverse_url=f"https://{host}").resolve("m")) is None


@pytest.mark.parametrize(
    ("options", "reverse_url", "expected"),
    [
        ({"upstream": "https://elsewhere.example/v1"}, None, None),
        ({"upstream": "https://elsewhere.example/v1", "api_key_env": "OPENAI_API_KEY"}, None, "sk-openai"),
        ({"upstream": "https://api.openai.com/v1"}, None, "sk-openai"),
        ({}, "https://elsewhere.example", None),
        ({"upstream": "https://api.deepseek.com/v1"}, None, None),
        ({}, "https://api.openai.com", "sk-openai"),
    ],
)
def test_openais_key_goes_to_openai_and_where_it_is_named(router, options, reverse_url, expected):
    route = router(environ={"OPENAI_API_KEY": "sk-openai"}, reverse_url=reverse_url, **options).resolve("m")
    assert key(route) == expected


def test_the_named_variable_is_for_the_default_upstream_only(router):
    environ = {**KEYS, "MY_KEY": "sk-mine"}
    routes = router(CONFIG, environ, "https://elsewhere.example", api_key_env="MY_KEY")
    assert key(routes.resolve("m")) == "sk-mine"
    assert key(routes.resolve("gpt-5.5")) == "sk-deepseek"
    assert key(routes.resolve("qwen-next")) is None


def test_a_missing_key_says_where_it_should_be(router):
    route = router("providers:\n  deepseek: {api_key: $SOME_KEY}\n", KEYS).resolve("m")
    assert key(route) is None
    assert route.key_source == "SOME_KEY not set"
    assert "no key (SOME_KEY not set" in route.credential


def test_opencodes_key_is_used_for_that_provider(router, tmp_path):
    auth = tmp_path / ".local/share/opencode/auth.json"
    auth.parent.mkdir(parents=True)
    auth.write_text('{"opencode-go": {"type": "api", "key": "k"}}')
    route = router(reverse_url="https://opencode.ai").resolve("kimi-k2.6")
    assert (key(route), route.key_source) == ("k", "opencode-go in OpenCode's auth.json")


@pytest.mark.parametrize(
    ("text", "reverse_url", "model", "expected"),
    [
        ("", "https://elsewhere.example", "m", True),
        ("", "https://api.deepseek.com", "m", False),
        ("access_keys: [k]\n", "https://elsewhere.example", "m", False),
        ("upstream: https://elsewhere.example/v1\n", None, "m", False),
        ("upstream: https://elsewhere.example/v1\n", "https://elsewhere.example", "m", True),
        ("upstream: https://third.example/v1\n", "https://elsewhere.example", "m", False),
        ("providers:\n  x: {base_url: 'https://x.example/v1'}\n", "https://elsewhere.example", "x/m", False),
        ("providers:\n  x: {base_url: 'https://x.example/v1', forward_authorization: true}\n", None, "m", True),
    ],
)
def test_the_clients_authorization_is_forwarded_only_where_it_should(router, text, reverse_url, model, expected):
    route = router(text, {"DEEPSEEK_API_KEY": "sk"}, reverse_url).resolve(model)
    assert route.forward_authorization is expected


def test_model_exceptions_are_applied_to_the_profile(router):
    routes = router(environ=KEYS, provider="moonshot")
    assert routes.resolve("kimi-k2.7-code").profile.tools.choice == "auto"
    assert routes.resolve("kimi-k2.6").profile.tools.choice == "any"


def test_ids_have_no_slashes_and_resolve(router):
    routes = router(environ={"OPENROUTER_API_KEY": "k"})
    ids = [item.id for item in routes.models()]
    assert "kimi-k2.6" in ids
    assert not any("/" in id for id in ids)
    for name in ("kimi-k2.6", "moonshotai/kimi-k2.6", "openrouter/moonshotai/kimi-k2.6"):
        assert routes.resolve(name).model == "moonshotai/kimi-k2.6"


def test_every_listed_id_resolves_to_its_route(router):
    routes = router(CONFIG, KEYS)
    routes.learn("my-vllm", [{"id": "a/x"}, {"id": "b/x"}, {"id": "kimi-k2.6"}])
    for item in routes.models():
        assert where(routes.resolve(item.id)) == where(item.route)
    ids = [item.id for item in routes.models()]
    assert len(set(ids)) == len(ids)
    assert "my-vllm-kimi-k2.6" in ids


def test_a_default_model_with_a_provider_is_listed_without_a_slash(router):
    routes = router(CONFIG.replace("default_model: ", "default_model: my-vllm/"), KEYS)
    assert routes.models()[0].id == "my-vllm-deepseek-v4-pro"
    for name in (None, "my-vllm-deepseek-v4-pro", "my-vllm/deepseek-v4-pro"):
        assert where(routes.resolve(name)) == ("my-vllm", "deepseek-v4-pro", VLLM)


def test_learnt_lists_give_ids_and_limits(router):
    routes = router(reverse_url="http://127.0.0.1:8000")
    routes.learn("vllm", [{"id": "Qwen/Qwen3-Coder", "max_model_len": 4096}, {"no": "id"}])
    route = routes.resolve("Qwen3-Coder")
    assert (route.model, route.card.context_window) == ("Qwen/Qwen3-Coder", 4096)
    assert [item.id for item in routes.models() if not item.assumed] == ["Qwen3-Coder"]


def test_an_unlisted_model_of_a_known_provider_is_only_assumed(router):
    routes = router(environ={"DEEPSEEK_API_KEY": "k"})
    assert not any(item.assumed for item in routes.models())
    routes.learn("deepseek", [{"id": "deepseek-v4-pro"}])
    assumed = {item.id: item.assumed for item in routes.models()}
    assert assumed["deepseek-v4-pro"] is False
    assert assumed["deepseek-v4-flash"] is True
