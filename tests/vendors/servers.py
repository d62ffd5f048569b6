"""Servers that people run themselves, and the unknown one."""

from vendors.rules import (
    Rule,
    arguments_no_object,
    choice_without_tools,
    empty_tools,
    fields,
    forced_choice,
    formats_beyond,
    image_addresses,
    listed_content,
    message_fields,
    part_types_beyond,
    values_beyond,
)
from vendors.speech import Speech
from vendors.vendor import COMMON, LOGPROBS, OPENAI, PENALTIES, Fault, Vendor, error_body


def _llama_error(words: str) -> tuple[int, object]:
    return 400, {"error": {"code": 400, "message": words, "type": "invalid_request_error"}}


def _string_error(words: str) -> tuple[int, object]:
    return 400, {"error": words}


def _vllm_error(words: str) -> tuple[int, object]:
    return 400, {"error": {"message": words, "type": "BadRequestError", "param": None, "code": 400}}


SERVERS = [
    Vendor(
        profile="vllm",
        url="http://localhost:8000/v1",
        models=["qwen3-coder-next"],
        takes=f"{OPENAI} max_completion_tokens reasoning_effort chat_template_kwargs prompt_cache_key",
        error=_vllm_error,
        refuses=(
            Rule("`tools` must not be an empty array: {}", empty_tools),
            Rule("When using `tool_choice`, `tools` must be set: {}", choice_without_tools),
            Rule(
                "invalid reasoning_effort {}",
                values_beyond("reasoning_effort", "none", "low", "medium", "high", "xhigh", "max"),
            ),
        ),
        faults=[
            Fault(200, error_body("EngineCore died", "InternalServerError", code=500), "server_error"),
            Fault(
                400,
                {
                    "error": {
                        "message": "This model's maximum context length is 8192 tokens, your request has 9000.",
                        "type": "BadRequestError",
                        "code": 400,
                    }
                },
                "context_length_exceeded",
            ),
        ],
        speech=Speech(reasoning="reasoning"),
        effort={
            "-": {},
            "none": {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": False, "thinking": False}},
            "minimal low": {
                "reasoning_effort": "low",
                "chat_template_kwargs": {"enable_thinking": True, "thinking": True},
            },
        },
    ),
    Vendor(
        profile="sglang",
        url="http://localhost:30000/v1",
        models=["some-model"],
        faults=[
            Fault(
                400,
                error_body("The input (9 tokens) is longer than the model's context length (8 tokens)."),
                "context_length_exceeded",
            ),
        ],
        takes=f"{OPENAI} reasoning_effort separate_reasoning chat_template_kwargs",
        error=_vllm_error,
        refuses=(
            Rule("cannot use {} with response_format", lambda b: forced_choice(b) if "response_format" in b else []),
        ),
        speech=Speech(padding={"role": None, "content": None, "tool_calls": None, "reasoning_content": None}),
    ),
    Vendor(
        profile="ollama",
        url="http://127.0.0.1:11434/v1",
        models=["qwen3:32b-thinking"],
        takes=f"{COMMON} {PENALTIES} {LOGPROBS} seed response_format reasoning_effort",
        refuses=(
            Rule("max_completion_tokens is ignored, as are {}", fields("max_completion_tokens", "parallel_tool_calls")),
            Rule("invalid message format: {}", part_types_beyond("text", "image_url")),
            Rule("invalid image input: {}", image_addresses),
            Rule("the id of the result in {} is lost", listed_content("tool")),
            Rule("invalid tool call arguments: {}", arguments_no_object),
            Rule("reasoning is ignored in {}", message_fields("reasoning_content", "reasoning_details")),
            Rule(
                'invalid reasoning value: \'{}\' (must be "high", "medium", "low", "max", or "none")',
                values_beyond("reasoning_effort", "high", "medium", "low", "max", "none"),
            ),
        ),
        faults=[
            Fault(
                404,
                {"error": {"message": 'model "x" not found, try pulling it first', "type": "api_error"}},
                "model_not_found",
            ),
        ],
        speech=Speech(reasoning="reasoning", calls="whole"),
        replay="reasoning",
        effort={
            "-": {},
            "none": {"reasoning_effort": "none"},
            "minimal low": {"reasoning_effort": "low"},
            "medium": {"reasoning_effort": "medium"},
            "high": {"reasoning_effort": "high"},
            "xhigh max ultra": {"reasoning_effort": "max"},
        },
    ),
    Vendor(
        profile="llamacpp",
        url="http://localhost:8080/v1",
        models=["local"],
        takes=f"{OPENAI} chat_template_kwargs",
        error=_llama_error,
        refuses=(
            Rule(
                "logprobs is not supported with tools + stream: {}",
                lambda b: ["logprobs"] if b.get("logprobs") and b.get("tools") and b.get("stream") else [],
            ),
            Rule("Failed to parse tool call arguments as JSON: {}", arguments_no_object),
        ),
        faults=[
            Fault(
                400,
                {
                    "error": {
                        "code": 400,
                        "message": "the request exceeds the available context size, try increasing it",
                        "type": "exceed_context_size_error",
                    }
                },
                "context_length_exceeded",
            ),
        ],
        effort={
            "-": {},
            "none": {"chat_template_kwargs": {"enable_thinking": False}},
            "low high max": {"chat_template_kwargs": {"enable_thinking": True}},
        },
    ),
    Vendor(
        profile="lmstudio",
        url="http://localhost:1234/v1",
        models=["local"],
        faults=[
            Fault(
                400,
                {"error": "The number of tokens to keep from the initial prompt is greater than the context length."},
                "context_length_exceeded",
            ),
        ],
        takes=f"{COMMON} {PENALTIES} {LOGPROBS} seed n user response_format reasoning_effort",
        error=_string_error,
        refuses=(
            Rule("'response_format.type' must be 'json_schema' or 'text', not {}", formats_beyond("json_schema")),
        ),
        speech=Speech(reasoning="think"),
    ),
    Vendor(
        profile="litellm",
        url="http://localhost:4000/v1",
        models=["some-model"],
        takes=f"{OPENAI} reasoning_effort",
        unknown_field="openai does not support parameters: ['{}']",
        faults=[
            Fault(
                400,
                error_body(
                    "litellm.ContextWindowExceededError: litellm.BadRequestError: This model's maximum context length "
                    "is 8192 tokens.",
                    "None",
                    param="None",
                    code="400",
                ),
                "context_length_exceeded",
            ),
        ],
    ),
    Vendor(
        profile="tgi",
        url="http://127.0.0.1:3000/v1",
        models=["tgi"],
        takes=f"{OPENAI} reasoning_effort",
        error=lambda words: (422, {"error": words, "error_type": "Input validation error"}),
        refuses=(
            Rule("response_format: missing field `value`: {}", lambda b: ["value"] if "response_format" in b else []),
        ),
    ),
    Vendor(
        profile="transformers",
        url="http://127.0.0.1:8111/v1",
        models=["org/model"],
        takes=f"{COMMON} {PENALTIES} seed user reasoning_effort",
        error=lambda words: (422, {"detail": words}),
        refuses=(Rule("a tool_choice is ignored: {}", forced_choice),),
    ),
    Vendor(
        profile="openai-compatible",
        url="https://unknown.example/v1",
        models=["whatever"],
        takes=f"{OPENAI} reasoning_effort",
    ),
]
