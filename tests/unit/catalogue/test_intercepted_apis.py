"""Which hosts and paths are those of an API that the gateway answers."""

import pytest

from responses_gateway.catalogue.intercepted_apis import SHIPPED, InterceptedApis


@pytest.mark.parametrize(
    ("host", "target", "ours"),
    [
        ("api.openai.com", "/v1/responses", "/v1/responses"),
        ("API.OpenAI.com.", "/v1/responses", "/v1/responses"),
        ("api.openai.com", "/v1/responses/resp_1/input_items?limit=2", "/v1/responses/resp_1/input_items?limit=2"),
        ("api.openai.com", "/v1/conversations/conv_1", "/v1/conversations/conv_1"),
        ("api.openai.com", "/v1/models?client_version=0.169.0", "/v1/models?client_version=0.169.0"),
        ("api.openai.com", "/v1/chat/completions", "/v1/chat/completions"),
        ("eu.api.openai.com", "/v1/responses", "/v1/responses"),
        ("chatgpt.com", "/backend-api/codex/responses", "/v1/responses"),
        ("chatgpt.com", "/backend-api/codex/models", "/v1/models"),
        ("me.openai.azure.com", "/openai/v1/responses?api-version=preview", "/v1/responses?api-version=preview"),
        ("openrouter.ai", "/api/v1/responses", "/v1/responses"),
        ("api.openai.com", "/v1/files", None),
        ("api.openai.com", "/v1/responsesx", None),
        ("api.openai.com", "/v1/embeddings?of=/v1/responses", None),
        ("api.openai.com", "/v2/responses", None),
        ("api.openai.com", "/", None),
        ("chatgpt.com", "/backend-api/plugins/export/curated", None),
        ("chatgpt.com", "/backend-api/codex/chat/completions", None),
        ("me.openai.azure.com", "/openai/deployments/m/chat/completions", None),
        ("api.openai.com.evil.example", "/v1/responses", None),
        ("evil-api.openai.com", "/v1/responses", None),
        ("example.com", "/v1/responses", None),
    ],
)
def test_shipped(host: str, target: str, ours: str | None) -> None:
    assert InterceptedApis([SHIPPED]).target(host, target) == ours


@pytest.mark.parametrize("host", ["api.openai.com", "chatgpt.com", "x.openai.azure.com", "openrouter.ai"])
def test_hosts_that_are_read(host: str) -> None:
    assert InterceptedApis([SHIPPED]).has_host(host)
    assert not InterceptedApis([]).has_host(host)


@pytest.mark.parametrize("host", ["github.com", "auth.openai.com", "ab.chatgpt.com", "openai.com", "", "127.0.0.1"])
def test_hosts_that_pass(host: str) -> None:
    assert not InterceptedApis([SHIPPED]).has_host(host)


def test_apis_of_the_users_own() -> None:
    apis = InterceptedApis(["*.lan/llm", "root.example"])
    assert apis.target("gpu.lan", "/llm/chat/completions") == "/v1/chat/completions"
    assert apis.target("root.example", "/responses") == "/v1/responses"
    assert apis.target("api.openai.com", "/v1/responses") is None
