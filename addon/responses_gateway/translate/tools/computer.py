"""The computer tool: the function that stands for it, and the actions in a model's calls.

The client carries the actions out, and answers with a screenshot. Names and fields are those of
`openai.types.responses.ComputerAction`; models write those of other tools for computers, too.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from responses_gateway.protocol.json import JsonObject, dumps_text

COMPUTER_TYPES = ("computer", "computer_use_preview", "computer_use")
"""The `type` of the tool, in all versions, and of what chooses it."""

ACTION_LIMIT = 100
"""Actions of one call at most."""

_FARTHEST = 1_000_000
"""Pixels; no screen is as large."""

_BUTTONS = ("left", "right", "wheel", "back", "forward")
_ACTIONS = ("click", "double_click", "drag", "keypress", "move", "screenshot", "scroll", "type", "wait")
_OTHER_NAMES = {
    "left_click": "click",
    "mouse_move": "move",
    "left_click_drag": "drag",
    "key": "keypress",
    "press": "keypress",
    "hotkey": "keypress",
}
"""What other tools for computers call the same."""

_POINT: JsonObject = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}
_ACTION: JsonObject = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": list(_ACTIONS)},
        "x": {"type": "integer", "description": "Pixels from the left: of click, double_click, move and scroll."},
        "y": {"type": "integer", "description": "Pixels from the top."},
        "button": {"type": "string", "enum": list(_BUTTONS), "description": "Of click."},
        "path": {"type": "array", "items": _POINT, "description": "Of drag: the points on its way."},
        "keys": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Of keypress: the keys pressed together; of mouse actions: the keys held meanwhile.",
        },
        "scroll_x": {"type": "integer", "description": "Of scroll: pixels to the right."},
        "scroll_y": {"type": "integer", "description": "Of scroll: pixels down."},
        "text": {"type": "string", "description": "Of type."},
    },
    "required": ["type"],
}
_PURPOSE = "Use the user's computer by mouse and keyboard. After each call you see the screen; begin with a screenshot."


def computer_schema(declaration: JsonObject) -> JsonObject:
    """The schema of the function: the older tool takes one action in a call, today's several."""
    if takes_one_action(declaration):
        return {"type": "object", "properties": {"action": _ACTION}, "required": ["action"]}
    actions = {"type": "array", "items": _ACTION, "description": "Done one after another."}
    return {"type": "object", "properties": {"actions": actions}, "required": ["actions"]}


def computer_description(declaration: JsonObject) -> str:
    """What the model is told: the same words for the same declaration."""
    width, height, place = (declaration.get(name) for name in ("display_width", "display_height", "environment"))
    told = [_PURPOSE]
    if isinstance(width, int) and isinstance(height, int):
        told.append(f"The screen has {width} x {height} pixels.")
    if isinstance(place, str):
        told.append(f"Environment: {place}.")
    return " ".join(told)


def takes_one_action(declaration: JsonObject) -> bool:
    """Whether calls of the declared tool have one `action`, not several `actions`."""
    return declaration.get("type") != "computer"


def actions_in(arguments: JsonObject, repairs: list[str]) -> list[JsonObject]:
    """The actions of a call. Those that no client could carry out are left out; each repair is described."""
    given: Any = next((arguments[name] for name in ("actions", "action") if arguments.get(name)), None)
    if not isinstance(given, list | dict):
        # All in one: {"type": "click", …} or {"action": "left_click", …}.
        given = {**arguments, "type": arguments.get("type") or given}
        repairs.append("the fields of one action instead of actions")
    elif isinstance(given, dict) and "actions" in arguments:
        repairs.append("one action instead of a list of them")
    actions: list[JsonObject] = []
    found = given if isinstance(given, list) else [given]
    for position, one in enumerate(found[:ACTION_LIMIT]):
        action = _action(one) if isinstance(one, dict) else None
        if action is None:
            repairs.append(f"left out, because nobody could carry it out: {dumps_text(one)[:200]}")
            continue
        if action != one:
            repairs.append(f"actions[{position}]: written as {action['type']}")
        actions.append(action)
    if len(found) > ACTION_LIMIT:
        repairs.append(f"only the first {ACTION_LIMIT} of {len(found)} actions")
    return actions


def _action(given: JsonObject) -> JsonObject | None:
    """An action with the fields that its kind has; None if one is missing that it cannot do without."""
    said = given.get("type") or given.get("action")
    kind = _OTHER_NAMES.get(said, said) if isinstance(said, str) else None
    make = _KINDS.get(kind) if kind is not None else None
    fields = make(given) if make is not None else None
    return None if fields is None else {"type": kind, **fields}


def _at(given: JsonObject) -> JsonObject | None:
    """The point of an action, and the keys that are held."""
    point = _point(given) or _point(given.get("coordinate"))
    if point is None:
        return None
    keys = _keys(given)
    return {**point, "keys": keys} if keys else point


def _click(given: JsonObject) -> JsonObject | None:
    point, button = _at(given), given.get("button") or "left"
    return {"button": button, **point} if point is not None and button in _BUTTONS else None


def _drag(given: JsonObject) -> JsonObject | None:
    path = given.get("path")
    if not path and "start_coordinate" in given:
        path = [given["start_coordinate"], given.get("coordinate")]
    points = [_point(one) for one in path] if isinstance(path, list) and path else [None]
    known = [point for point in points if point is not None]
    if len(known) != len(points):
        return None
    keys = _keys(given)
    return {"path": known, "keys": keys} if keys else {"path": known}


def _keypress(given: JsonObject) -> JsonObject | None:
    keys = _keys(given)
    return {"keys": keys} if keys else None


def _scroll(given: JsonObject) -> JsonObject | None:
    point = _at(given)
    by = {name: _whole(given.get(name) or 0) for name in ("scroll_x", "scroll_y")}
    return None if point is None or None in by.values() else {**point, **by}


def _type(given: JsonObject) -> JsonObject | None:
    return {"text": given["text"]} if isinstance(given.get("text"), str) else None


def _nothing(_: JsonObject) -> JsonObject:
    return {}


_KINDS: Mapping[str, Callable[[JsonObject], JsonObject | None]] = {
    "click": _click,
    "double_click": _at,
    "drag": _drag,
    "keypress": _keypress,
    "move": _at,
    "screenshot": _nothing,
    "scroll": _scroll,
    "type": _type,
    "wait": _nothing,
}


def _point(value: object) -> JsonObject | None:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        value = {"x": value[0], "y": value[1]}
    if not isinstance(value, dict):
        return None
    point = {name: _whole(value.get(name)) for name in ("x", "y")}
    return None if None in point.values() else point


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _FARTHEST:
        return None
    return round(value)


def _keys(given: JsonObject) -> list[str]:
    keys = given.get("keys") or given.get("key")
    if keys is None and given.get("action") in ("key", "press", "hotkey"):
        keys = given.get("text")
    if isinstance(keys, str):
        return [key for key in keys.split("+") if key] or [keys]
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
