"""pydantic's validation errors in words for the user, with the valid keys for an unknown one."""

from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, TypeAliasType, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from responses_gateway.catalogue.yaml_file import KeyPath
from responses_gateway.settings.config_file import NOT_IN_FILE, SHAPING_KEYS, file_path, suggestion
from responses_gateway.settings.settings import Configuration


def explain(error: ValidationError, where: Callable[[KeyPath], str]) -> str:
    """Describe each problem on a line of its own. `where` names the origin of a key, such as `file:line`."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        location = problem["loc"]
        in_file = file_path(location)
        name = ".".join(map(str, in_file))
        if problem["type"] == "extra_forbidden":
            shaped = len(location) > 2 and location[-2] in SHAPING_KEYS
            valid = set(_keys(Configuration, location[: -2 if shaped else -1])) - NOT_IN_FILE
            text = f"unknown key {name}{suggestion(str(location[-1]), sorted(valid))}"
        else:
            text = f"{name}: {problem['msg'].removeprefix('Value error, ')}"
        lines.append(f"{where(in_file)}: {text}")
    return "\n".join(lines)


def _keys(kind: Any, location: KeyPath) -> list[str]:
    """Return the keys of the model at `location` below `kind`."""
    if isinstance(kind, TypeAliasType):
        return _keys(kind.__value__, location)
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(origin, TypeAliasType):
        return []
    if origin is Annotated:
        return _keys(arguments[0], location)
    if origin in (Union, UnionType):
        return [key for argument in arguments for key in _keys(argument, location)]
    if origin in (dict, list):
        return _keys(arguments[-1], location[1:]) if location else []
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if location:
            info = kind.model_fields.get(str(location[0]))
            return _keys(info.annotation, location[1:]) if info else []
        nested = (_keys(kind, (key,)) for key in ("profile", "card") if key in kind.model_fields)
        return [*(key for key in kind.model_fields), *(key for keys in nested for key in keys)]
    return []
