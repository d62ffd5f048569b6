from importlib.resources import files

import pytest
from pydantic import ValidationError

from responses_gateway.catalogue.providers.profile import Profile
from responses_gateway.catalogue.providers.shipped import COMMON_GROUND, belongs, for_url, same_host, shipped


def name_for(url):
    profile = for_url(url, shipped().values())
    return profile.name if profile else None


def test_every_shipped_file_is_a_profile():
    entries = [entry.name for entry in files("responses_gateway.catalogue.providers").iterdir()]
    assert {*shipped()} - {COMMON_GROUND.name} == {name[:-5] for name in entries if name.endswith(".yaml")}


@pytest.mark.parametrize("profile", shipped().values(), ids=lambda profile: profile.name)
def test_a_shipped_profile_is_the_one_for_its_own_address(profile):
    if profile.base_url is not None:
        assert name_for(profile.base_url) == profile.name
    for field in profile.reasoning.efforts:
        assert field in ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.deepseek.com", "deepseek"),
        ("https://API.DeepSeek.com/beta", "deepseek"),
        ("https://api.deepseek.com.evil.example/v1", None),
        ("https://evil.example/api.deepseek.com", None),
        ("https://api.moonshot.cn/v1", "moonshot"),
        ("https://api.kimi.com/coding/v1", "kimi-coding"),
        ("https://api.kimi.com/v1", None),
        ("https://api.z.ai/api/paas/v4", "zai"),
        ("https://api.z.ai/api/coding/paas/v4", "zai-coding"),
        ("https://opencode.ai", "opencode-go"),
        ("https://opencode.ai/zen/v1", "opencode-zen"),
        ("https://opencode.ai/zen/v10", "opencode-go"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://coding-intl.dashscope.aliyuncs.com/v1", "dashscope"),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://ark.cn-beijing.volces.com/api/v3", "volcengine"),
        ("http://127.0.0.1:11434/v1", "ollama"),
        ("http://localhost:8000", "vllm"),
        ("http://[::1]:30000/v1", "sglang"),
        ("http://127.9.9.9:8080", "llamacpp"),
        ("http://0.0.0.0:1234/v1", "lmstudio"),
        ("http://127.0.0.1:8001/v1", None),
        ("http://gpu.example:8000/v1", None),
        ("nonsense", None),
        ("http://host:port/v1", None),
    ],
)
def test_the_host_chooses_the_profile(url, expected):
    assert name_for(url) == expected


def test_a_key_belongs_to_its_profiles_hosts():
    assert belongs("https://api.groq.com/openai/v1", shipped()["groq"])
    assert not belongs("https://api.groq.com/openai/v1", shipped()["deepseek"])
    assert not belongs("https://anything.example", COMMON_GROUND)


def test_same_host_knows_default_ports_and_loopback():
    assert same_host("https://a.example/v1", "https://a.example:443")
    assert same_host("http://127.0.0.1:1/v1", "http://localhost:1")
    assert not same_host("http://a.example", "https://a.example")
    assert not same_host("http://127.0.0.1:1", "http://127.0.0.1:2")


def test_exceptions_of_a_model_apply_in_order():
    profile = Profile.model_validate(
        {
            "name": "p",
            "tools": {"strict": "drop"},
            "models": {"a-*": {"tools": {"choice": "auto"}}, "*-b": {"tools": {"choice": "none"}}},
        }
    )
    tools = profile.for_model("A-b").tools
    assert (tools.strict, tools.choice) == ("drop", "none")
    assert profile.for_model("a-c").tools.choice == "auto"
    assert profile.for_model("other").tools.choice == "any"


def test_an_exception_with_null_empties_a_mapping() -> None:
    profile = Profile.model_validate(
        {
            "name": "p",
            "reasoning": {"when_on": {"thinking": {"type": "enabled"}}},
            "models": {"a": {"reasoning": {"when_on": None}}, "b": {"reasoning": {"when_on": {"x": 1}}}},
        }
    )
    assert profile.for_model("a").reasoning.when_on == {}
    assert profile.for_model("b").reasoning.when_on == {"thinking": {"type": "enabled"}, "x": 1}


def test_exceptions_are_validated_with_their_profile():
    with pytest.raises(ValidationError):
        Profile.model_validate({"name": "p", "models": {"x": {"tools": {"choise": "auto"}}}})


@pytest.mark.parametrize(
    ("provider", "model", "path", "expected"),
    [
        ("deepseek", "deepseek-v4-pro", "reasoning.field", "reasoning_content"),
        ("deepseek", "deepseek-v4-pro", "reasoning.placeholder", " "),
        ("deepseek", "deepseek-v4-pro", "tools.choice_thinking", "auto"),
        ("moonshot", "kimi-k2.6", "reasoning.placeholder", " "),
        ("moonshot", "kimi-k2.7-code", "tools.choice", "auto"),
        ("zai", "glm-5.3", "reasoning.when_off", {"thinking": {"type": "enabled", "clear_thinking": False}}),
        ("zai", "glm-5.1", "tools.stream_extra", {"tool_stream": True}),
        ("dashscope", "qwen3.6-plus", "reasoning.when_off", {"enable_thinking": False}),
        ("dashscope", "qwen3.8-max", "reasoning.effort", "reasoning_effort"),
        ("minimax", "MiniMax-M2.7", "reasoning.replay", "details"),
        ("minimax", "MiniMax-M2.7", "messages.system", "first"),
        ("mistral", "devstral-latest", "reasoning.replay", "parts"),
        ("mistral", "devstral-latest", "tools.choice_required", "any"),
        ("groq", "openai/gpt-oss-120b", "reasoning.field", "reasoning"),
        ("groq", "llama-3.3-70b-versatile", "reasoning.effort", "none"),
        ("xai", "grok-4", "reasoning.replay", "never"),
        ("openrouter", "x/y", "reasoning.effort", "reasoning"),
        ("gemini", "gemini-3.5-flash", "reasoning.signatures", True),
        ("gemini", "models/gemini-3.1-pro-preview", "reasoning.efforts.minimal", "low"),
        ("sglang", "m", "parameters.response_format_with_tools", "auto"),
        ("llamacpp", "m", "parameters.logprobs_with_tools", False),
        ("lmstudio", "m", "parameters.json_object", False),
        ("synthetic", "m", "reasoning.field", "reasoning"),
        ("opencode-go", "deepseek-v4-pro", "parameters.response_format", "json_object"),
        ("opencode-go", "kimi-k2.6", "headers.x-opencode-session", "{session}"),
        ("azure", "gpt-5", "parameters.max_tokens", "max_completion_tokens"),
        ("cerebras", "zai-glm-4.7", "reasoning.field", "reasoning"),
        ("nvidia", "moonshotai/kimi-k2.6", "tools.parallel", "drop"),
        ("fireworks", "m", "tools.choice_required", "any"),
        ("siliconflow", "m", "reasoning.when_on", {"enable_thinking": True}),
        ("stepfun", "step-3.7-flash", "reasoning.field", "reasoning"),
        ("volcengine", "m", "reasoning.replay", "never"),
        ("parasail", "m", "parameters.extra", {"store": False}),
        ("deepinfra", "deepseek-ai/DeepSeek-V4-Pro", "reasoning.default_on", False),
    ],
)
def test_what_is_known_of_providers_is_in_their_profiles(provider, model, path, expected):
    value = shipped()[provider].for_model(model).model_dump()
    for step in path.split("."):
        value = value[step]
    assert value == expected
