"""Options of a topology or weight rule, read from the signature of its function.

The parameters after the fixed leading ones are the options: their annotations are the types, `Annotated[int,
Field(ge=1)]` adds a range, their defaults are the defaults.  Values come from TOML and are taken strictly: no text for
a number, no fraction for an integer, no nan or inf.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from types import FunctionType, SimpleNamespace
from typing import Any

from netac.utils.errors import InputError, did_you_mean, raised

Parameters = dict[str, tuple[object, object]]
"""Option name -> (type with its range, default or `inspect.Parameter.empty`)."""


def parameters(function: Callable, leading: int) -> Parameters:
    """The options `function` declares after its first `leading` parameters; one without annotation takes its default's
    type.

    Raises:
        InputError: it has fewer than `leading` parameters, or a *args or **kwargs instead of named options.
    """
    listed = list(inspect.signature(function).parameters.values())
    named = [p for p in listed if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(named) < len(listed):
        raise InputError(f"{function.__name__}(...) must name its options", valid="no *args, no **kwargs")
    if len([p for p in named if p.kind is not p.KEYWORD_ONLY]) < leading:
        raise InputError(f"{function.__name__}(...) takes too few arguments", found=str(inspect.signature(function)))
    try:
        hints = _types(function, [p.name for p in named[leading:]])
    except KeyboardInterrupt:
        raise
    except BaseException as error:     # annotations are code
        raise InputError(f"{function.__name__}(...) has an annotation that cannot be read: {raised(error)}") from error
    return {p.name: (hints.get(p.name, object if p.default is p.empty else type(p.default)), p.default)
            for p in named[leading:]}


def _types(function: Callable, names: list[str]) -> dict[str, Any]:
    """The types of these parameters, as they are annotated; what the others' annotations name need not be there."""
    whole = inspect.unwrap(function)
    if not isinstance(whole, FunctionType):
        return typing.get_type_hints(function, include_extras=True)
    wanted = {name: told for name, told in whole.__annotations__.items() if name in names}
    part: Any = SimpleNamespace(__annotations__=wanted)
    return typing.get_type_hints(part, globalns=whole.__globals__, include_extras=True)


def check(given: dict, known: Parameters, others: Iterable[str] = ()) -> dict:
    """Every option of `known` with its value from `given`, or its default.

    Args:
        given: what the user wrote.
        known: the options there are.
        others: keys read elsewhere, named as valid in the message about an unknown key.

    Raises:
        InputError: a key that is not in `known`, or a value of the wrong type or out of range; `key` names the option.
    """
    valid = [*known, *others]
    for key in given:
        if key not in known:
            raise InputError(f"unknown key{did_you_mean(key, valid)}", key=key, valid=", ".join(sorted(valid)))
    fields = {name: (kind, ... if default is inspect.Parameter.empty else default)
              for name, (kind, default) in known.items() if name in given or default is inspect.Parameter.empty}
    said = _checked(given, fields) if fields else {}
    return {name: plain(said.get(name, default)) for name, (_, default) in known.items()}


def _checked(given: dict, fields: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """The values of options that are given, or have to be.

    Args:
        fields: their types, and `...` for a default where there is none.
    """
    from pydantic import ConfigDict, ValidationError, create_model

    from netac.utils.options import in_words
    rules = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True, protected_namespaces=())
    named: dict[str, Any] = {f"option_{name}": field for name, field in fields.items()}
    model = create_model("Options", __config__=rules, **named)
    try:
        checked = model(**{f"option_{name}": value for name, value in given.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).removeprefix("option_")
        if first["type"] == "missing":
            raise InputError("the key is missing", key=name) from error
        raise InputError(in_words(first["msg"]), key=name, found=given[name]) from error
    return {name: getattr(checked, f"option_{name}") for name in fields}


def chosen(function: Callable, leading: int, options: dict) -> dict:
    """Those of `options` that `function` declares."""
    return {name: options[name] for name in parameters(function, leading) if name in options}


def plain(value: object) -> object:
    """The value in TOML's types: sequences as lists."""
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
