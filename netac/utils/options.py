"""Options from files and command lines: declared once as pydantic models, refused with one clear message."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from netac.utils.errors import InputError, did_you_mean


class Options(BaseModel):
    """A table of options: unknown keys are errors, nothing is converted silently, nothing changes after checking."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    def table(self) -> dict[str, Any]:
        """As a table of an experiment file."""
        return self.model_dump()

    def defaults(self) -> dict[str, Any]:
        """What a file means that lacks a key; without those that may be None, which is what their lack stands for."""
        return {name: field.default for name, field in type(self).model_fields.items()
                if not field.is_required() and type(None) not in get_args(field.annotation)}


Model = TypeVar("Model", bound=Options)


def checked(model: type[Model], table: dict[str, Any], key: str = "", others: Iterable[str] = ()) -> Model:
    """`table` as a `model`.

    Args:
        key: the dotted key of the table, for messages.
        others: keys that may stand in the same table besides the model's, for suggestions.

    Raises:
        InputError: for the first thing that is wrong.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise _first(error, model, table, others).located(key=key or None) from None


def _first(error: ValidationError, model: type[Options], table: dict, others: Iterable[str]) -> InputError:
    # A misspelt key is unknown, and the right one missing: the former is told.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    path = _keys(first["loc"], table)
    key = ".".join(map(str, path)) or None
    field = model.model_fields.get(str(path[0])) if path else None
    if first["type"] == "extra_forbidden":
        known = [*model.model_fields, *others] if len(path) == 1 or not field else _inner_keys(field.annotation)
        return InputError(f"unknown key{did_you_mean(str(path[-1]), known)}", key=key, valid=", ".join(known) or None)
    if first["type"] == "missing":
        described = model.model_fields[str(first["loc"][0])].description if len(first["loc"]) == 1 else None
        return InputError("the key is missing", key=".".join(map(str, first["loc"])), valid=described)
    problem = in_words(first["msg"])
    if first["type"] == "value_error":
        return InputError(problem, key=key)
    return InputError(problem, key=key, found=first["input"], valid=field.description if field else None)


def in_words(message: str) -> str:
    """pydantic's sentence about a value as `InputError` words its problems."""
    return message.removeprefix("Value error, ").removeprefix("Input ")


def _keys(location: tuple, table: Any) -> list:
    """The part of an error's location that are keys of the user's table, without the names of union members."""
    path = []
    for step in location:
        if (isinstance(table, dict) and step in table) or (isinstance(table, list) and isinstance(step, int)):
            path.append(step)
            table = table[step]
    return path


def is_path(text: str) -> bool:
    """Whether a text where a name or a path may stand names a file."""
    return "/" in text or bool(Path(text).suffix)


def spelled_out(text: str) -> dict[str, str]:
    """The table a string stands for: a path if it looks like one, else a name."""
    return {"path" if is_path(text) else "name": text}


def _inner_keys(annotation: Any) -> list[str]:
    """The keys of the tables that may stand for a field of this type."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return list(annotation.model_fields)
    return [key for member in get_args(annotation) for key in _inner_keys(member)]


def document(model: type[Options]) -> list[tuple[str, str]]:
    """Name and description of every option, with its choices and its default, for help texts."""
    return [(name, " ".join(filter(None, (field.description, _choices(field), _default(field)))))
            for name, field in model.model_fields.items()]


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is not Literal:
        return ""
    named = [choice for choice in get_args(field.annotation) if f"{choice}:" not in (field.description or "")]
    return f"({' | '.join(named)})" if len(named) == len(get_args(field.annotation)) else ""


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required() or value is None or hasattr(value, "table"):
        return ""
    return f"[{json.dumps(value)}]"
