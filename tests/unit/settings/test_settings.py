import stat

import pytest

from responses_gateway.settings.config_file import SettingsError
from responses_gateway.settings.loading import load_settings
from responses_gateway.settings.options import OPTIONS, Options


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file that only its owner can read."""

    def write(text, mode=0o600):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def home(tmp_path):
    return {"HOME": str(tmp_path / "home")}


def refusal(path, environ=None, options=None):
    with pytest.raises(SettingsError) as caught:
        load_settings(options or {}, environ or {}, path)
    return str(caught.value)


def test_defaults_hold_without_any_layer(home):
    settings = load_settings({}, home)
    assert (settings.heartbeat, settings.retries, settings.body_limit) == (10, 2, 64 * 1024 * 1024)
    assert settings.config_path is None
    assert settings.warnings == ()


def test_later_layers_win(config, home):
    path = config("heartbeat: 1\nretries: 1\nidle_timeout: 1\n")
    environ = {**home, "RESPONSES_GATEWAY_RETRIES": "2", "RESPONSES_GATEWAY_IDLE_TIMEOUT": "2"}
    settings = load_settings({"gateway_idle_timeout": "3"}, environ, path)
    assert (settings.heartbeat, settings.retries, settings.idle_timeout, settings.connect_timeout) == (1, 2, 3, 10)


def test_an_option_that_is_not_given_does_not_hide_the_layers_below(config, home):
    options = {option.name: option.default for option in OPTIONS} | {"gateway_terminal": ""}
    assert load_settings(options, home, config("terminal: incomplete\n")).terminal == "incomplete"


def test_the_file_is_found_in_its_default_place_by_variable_and_by_option(tmp_path, config, home):
    default = tmp_path / "home/.config/responses-gateway/config.yaml"
    default.parent.mkdir(parents=True)
    default.write_text("default_model: of-default\n")
    named = config("default_model: of-variable\n")
    other = tmp_path / "other.yaml"
    other.write_text("default_model: of-option\n")
    by_variable = {**home, "RESPONSES_GATEWAY_CONFIG": str(named)}
    assert load_settings({}, home).default_model == "of-default"
    assert load_settings({}, by_variable).default_model == "of-variable"
    assert load_settings({"gateway_config": str(other)}, by_variable).default_model == "of-option"


def test_an_empty_section_is_like_none(config, home):
    settings = load_settings({}, home, config("providers:\nmodels:\n"))
    assert (settings.providers, settings.models) == ({}, {})
    assert load_settings({}, home, config("# nothing yet\n")).retries == 2


def test_a_named_file_must_exist(tmp_path, home):
    missing = tmp_path / "missing.yaml"
    assert str(missing) in refusal(None, {**home, "RESPONSES_GATEWAY_CONFIG": str(missing)})


@pytest.mark.parametrize("option", OPTIONS[1:], ids=lambda option: option.name)
def test_every_option_is_a_setting_with_a_help_text(option):
    assert option.setting in Options.model_fields
    assert option.help


@pytest.mark.parametrize(
    ("text", "line", "key", "nearest"),
    [
        ("retries: 1\nhartbeat: 2\n", 2, "hartbeat", "heartbeat"),
        ("providers:\n  deepseek:\n    api_kee: k\n", 3, "providers.deepseek.api_kee", "api_key"),
        ("providers:\n  deepseek:\n    reasoning:\n      replai: never\n", 4, "reasoning.replai", "replay"),
        ("models:\n  m: {provider: deepseek, contextwindow: 1}\n", 2, "models.m.contextwindow", "context_window"),
        ("models:\n  m:\n    provider: deepsek\n", 3, "deepsek", "deepseek"),
        ("models:\n  m: {provider: azure, model: gpt-5}\n", 2, "azure", None),
        ("retries: 1\nprovider: openroute\n", 2, "openroute", "openrouter"),
        ("providers:\n  x: {base_url: http://h/v1, profile: vlm}\n", 2, "vlm", "vllm"),
    ],
)
def test_an_unknown_name_is_refused_with_its_line_and_the_nearest_valid_name(config, home, text, line, key, nearest):
    path = config(text)
    message = refusal(path, home)
    assert f"{path}:{line}: " in message
    assert key in message
    assert nearest is None or f"did you mean {nearest!r}?" in message


def test_a_derived_value_is_not_a_key_of_the_file(config, home):
    assert "unknown key credentials" in refusal(config("credentials: {}\n"), home)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("retries: 1\nidle_timeout: -3\n", 2, "idle_timeout"),
        ("terminal: never\n", 1, "'auto', 'completed' or 'incomplete'"),
        ("upstream: api.deepseek.com\n", 1, "http"),
        ("providers:\n  mine: {api_key: k}\n", 2, "base_url is missing"),
        ("providers:\n  mine:\n    base_url: http://h:x/v1\n", 3, "base_url"),
        ("providers:\n  mine:\n    base_url: h/v1\n", 3, "http"),
        ("upstream: http://h/v1?key=k\n", 1, "without ?"),
        ("providers: [deepseek]\n", 1, "dictionary"),
        ("providers:\n  deepseek: sk\n", 2, "deepseek"),
        ("providers:\n  deepseek:\n    name: d\n", 3, "providers.deepseek.name"),
        ("models:\n  m: 3\n", 2, "models.m"),
        ("models:\n  m: {id: x}\n", 2, "models.m.id"),
        ("models:\n  m: {card: x}\n", 2, "models.m.card"),
        ("a: [1\nb: 2\n", 2, ""),
        ("retries: 1\nretries: 2\n", 2, "duplicate"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(config, home, text, line, what):
    message = refusal(config(text), home)
    assert f"{line}: " in message
    assert what in message


def test_a_bad_value_of_another_layer_names_that_layer(home):
    assert "option gateway_retries" in refusal(None, home, {"gateway_retries": "many"})
    environ = {**home, "RESPONSES_GATEWAY_HEARTBEAT": "soon"}
    assert "environment variable RESPONSES_GATEWAY_HEARTBEAT" in refusal(None, environ)
    assert "option gateway_model_capabilities" in refusal(None, home, {"gateway_model_capabilities": "{"})


def test_a_misspelt_variable_is_reported(home):
    environ = {**home, "RESPONSES_GATEWAY_HARTBEAT": "1", "RESPONSES_GATEWAY_TOKEN_OF_SOMEBODY": "x"}
    (warning,) = load_settings({}, environ).warnings
    assert "did you mean RESPONSES_GATEWAY_HEARTBEAT?" in warning


def test_variables_are_expanded_in_values(config, home):
    path = config("providers:\n  mine: {base_url: 'http://${HOST}:$PORT/v1', headers: {x-cost: $$5}}\n")
    profile = load_settings({}, {**home, "HOST": "gpu", "PORT": "81"}, path).providers["mine"].profile
    assert profile.base_url == "http://gpu:81/v1"
    assert profile.headers == {"x-cost": "$5"}


def test_a_variable_that_is_not_set_is_refused_where_it_is_used(config, home):
    path = config("providers:\n  mine:\n    base_url: http://$NOWHERE/v1\n")
    message = refusal(path, home)
    assert f"{path}:3: " in message
    assert "NOWHERE is not set" in message


def test_a_key_whose_variable_is_not_set_is_only_a_warning(config, home):
    settings = load_settings({}, home, config("providers:\n  deepseek: {api_key: $NO_SUCH_KEY}\n"))
    assert settings.providers["deepseek"].api_key is None
    assert any("NO_SUCH_KEY" in warning for warning in settings.warnings)


def test_keys_are_not_shown(config, home):
    path = config("providers:\n  deepseek: {api_key: sk-literal}\naccess_keys: [inbound-key]\n")
    settings = load_settings({}, {**home, "OPENAI_API_KEY": "sk-of-openai"}, path)
    assert settings.credentials.environment["OPENAI_API_KEY"].get_secret_value() == "sk-of-openai"
    for secret in ("sk-literal", "inbound-key", "sk-of-openai"):
        assert secret not in repr(settings)


def test_a_key_of_the_wrong_type_is_not_in_the_message(config, home):
    assert "314159" not in refusal(config("providers:\n  deepseek: {api_key: [314159]}\n"), home)


@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("providers:\n  deepseek: {api_key: sk-literal}\n", True),
        ("image_generation: {url: 'http://images.example/v1', api_key: sk-literal}\n", True),
        ("image_generation: {url: 'http://images.example/v1', api_key_env: IMAGES_KEY}\n", False),
        ("access_keys: [inbound]\n", True),
        ("providers:\n  deepseek: {api_key: $KEY}\n", False),
        ("default_model: m\n", False),
    ],
)
def test_a_readable_file_with_a_key_in_it_is_reported(config, home, text, secret, mode):
    settings = load_settings({}, {**home, "KEY": "k"}, config(text, mode))
    readable = bool(mode & stat.S_IROTH)
    assert any("chmod 600" in warning for warning in settings.warnings) == (secret and readable)


def test_the_api_of_a_provider_holds_for_all_of_its_models(config, home):
    address = "https://a.openai.azure.com/openai/v1"
    for entry, apis in (("", ["auto", "chat"]), (", api: chat", ["chat", "chat"]), (", api: auto", ["auto", "auto"])):
        path = config(f"providers:\n  azure: {{base_url: '{address}'{entry}}}\n")
        profile = load_settings({}, home, path).providers["azure"].profile
        assert [profile.for_model(model).api for model in ("gpt-5.5", "gpt-4o")] == apis


def test_a_provider_is_its_profile_with_the_files_changes(config, home):
    path = config(
        "providers:\n"
        "  deepseek: {parameters: {accept: [top_k]}}\n"
        "  gpu: {base_url: 'http://gpu:9/v1', profile: vllm, reasoning: {replay: never}}\n"
        "  ollama-there: {base_url: 'http://127.0.0.1:11434/v1'}\n"
        "  other: {base_url: 'http://other/v1'}\n"
    )
    providers = load_settings({}, home, path).providers
    assert {name: provider.base for name, provider in providers.items()} == {
        "deepseek": "deepseek",
        "gpu": "vllm",
        "ollama-there": "ollama",
        "other": "openai-compatible",
    }
    deepseek = providers["deepseek"].profile
    assert deepseek.parameters.accept == ["top_k"]
    assert deepseek.reasoning.placeholder == " "
    assert providers["gpu"].profile.reasoning.replay == "never"
    assert providers["gpu"].profile.parameters.accept
    assert providers["gpu"].profile.name == "gpu"


def test_capabilities_are_json(home):
    environ = {**home, "RESPONSES_GATEWAY_MODEL_CAPABILITIES": '{"m": {"tools": false, "context_window": 5}}'}
    card = load_settings({}, environ).model_capabilities["m"]
    assert (card.tools, card.context_window) == (False, 5)
    bad = {**home, "RESPONSES_GATEWAY_MODEL_CAPABILITIES": '{"m": {"toolz": false}}'}
    assert "did you mean 'tools'?" in refusal(None, bad)


@pytest.mark.parametrize(
    "text",
    ["gpt-5.5=deepseek/v4 , mini=flash", '{"gpt-5.5": "deepseek/v4", "mini": {"model": "flash", "context_window": 5}}'],
)
def test_models_come_from_one_word(config, home, text):
    path = config("models: {replaced: flash}\n")
    models = load_settings({}, {**home, "RESPONSES_GATEWAY_MODELS": text}, path).models
    assert [*models] == ["gpt-5.5", "mini"]
    assert models["gpt-5.5"].target == "deepseek/v4"
    assert (models["mini"].target or models["mini"].model) == "flash"
    assert models["mini"].card is None or models["mini"].card.context_window == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a", "option gateway_models: models: 'a' is no pair NAME=TARGET"),
        ("a=", "is no pair NAME=TARGET"),
        ('{"a": {"contxt_window": 5}}', "unknown key models.a.contxt_window; did you mean 'context_window'?"),
        ('{"a": 5}', "models.a"),
        ('{"a": {"provider": "depseek"}}', "did you mean 'deepseek'?"),
        ('{"a"', "models: "),
    ],
)
def test_models_that_cannot_be_read(text, words):
    assert words in refusal(None, options={"gateway_models": text})


def test_parameters_are_json(home):
    settings = load_settings({"gateway_extra_parameters": '{"top_k": 5}', "gateway_drop_parameters": "a, b"}, home)
    assert (settings.extra_parameters, settings.drop_parameters) == ({"top_k": 5}, ["a", "b"])
    assert "option gateway_extra_parameters" in refusal(None, options={"gateway_extra_parameters": "[1]"})
    assert "option gateway_extra_parameters" in refusal(None, options={"gateway_extra_parameters": "top_k=5"})


def test_lists_come_from_one_word(home):
    keys = load_settings({"gateway_access_keys": "a, b"}, home).access_keys
    assert [key.get_secret_value() for key in keys] == ["a", "b"]


def test_opencodes_keys_are_read(tmp_path, home):
    auth = tmp_path / "home/.local/share/opencode/auth.json"
    auth.parent.mkdir(parents=True)
    auth.write_text('{"deepseek": {"type": "api", "key": "k"}, "x": {"type": "oauth", "access": "t"}, "y": 1}')
    keys = load_settings({}, home).credentials.opencode
    assert {name: key.get_secret_value() for name, key in keys.items()} == {"deepseek": "k"}
    auth.write_text("not json")
    assert load_settings({}, home).credentials.opencode == {}
