"""What calls of tools that a server, or a computer, carries out were given, and what came of them.

Each kind of these items has fields of its own; pages and transcripts show them like any other call and its content.
"""

from typing import Any

from responses_gateway.protocol.json import JsonObject, dumps_text
from responses_gateway.protocol.pictures import picture_address


def given_to(item: JsonObject) -> JsonObject | None:
    """What a call was given; None for calls of other kinds."""
    match item:
        case {"type": "computer_call", "actions": list() as actions}:
            return {"actions": actions}
        case {"type": "image_generation_call"}:
            names = ("action", "size", "quality", "background", "output_format")
            about = {name: item[name] for name in names if item.get(name)}
            return {"prompt": item["revised_prompt"], **about} if item.get("revised_prompt") else about
        case {"type": "code_interpreter_call"}:
            return {"code": item.get("code")}
        case {"type": "file_search_call"}:
            return {"queries": item.get("queries")}
    return None


def outcome_of(item: JsonObject) -> list[JsonObject]:
    """What came of a call, or what the result of one shows, as parts of content; empty for items of other kinds."""
    match item:
        case {"type": "image_generation_call", "result": str() as data} if data:
            return [_picture(picture_address(data, str(item.get("output_format") or "png")))]
        case {"type": "image_generation_call", "error": dict() as error}:
            return [_text(error.get("message"))]
        case {"type": "code_interpreter_call", "outputs": list() as outputs}:
            return [_output(output) for output in outputs]
        case {"type": "file_search_call", "results": list() as results}:
            return [_found(result) for result in results]
        case {"type": "computer_call_output", "output": {"image_url": str() as address}}:
            return [_picture(address)]
    return []


def _output(output: Any) -> JsonObject:
    match output:
        case {"type": "logs", "logs": str() as logs}:
            return _text(logs)
        case {"type": "image", "url": str() as address}:
            return _picture(address)
    return _text(output)


def _found(result: Any) -> JsonObject:
    match result:
        case {"filename": str() as name, "text": str() as text}:
            return _text(f"{name}\n{text}")
    return _text(result)


def _picture(address: str) -> JsonObject:
    return {"type": "input_image", "image_url": address}


def _text(value: object) -> JsonObject:
    return {"type": "input_text", "text": value if isinstance(value, str) else dumps_text(value)}
