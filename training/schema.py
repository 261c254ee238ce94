"""Reads YAML values as the types of annotations; errors name file and key.  Imports no torch."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from backend.errors import BadInput

_TYPE_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "nothing",
}
_LISTS = (list, tuple, collections.abc.Sequence)
_TABLES = (dict, collections.abc.Mapping)


def read_value(kind: Any, value: Any, file: str, key: str) -> Any:
    """`value` as the type `kind`, recursively: numbers, texts, `Literal`, lists, tables, dataclasses, unions.

    A class can define its own reading: `from_file(value, file, key)`.  Raises BadInput `bad_run` with file, key and
    what was expected.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if hasattr(kind, "from_file"):
        return kind.from_file(value, file, key)
    if dataclasses.is_dataclass(kind):
        return _read_fields(typing.cast(type, kind), value, file, key)
    if origin in (types.UnionType, typing.Union):
        return _read_union(inner, value, file, key)
    if origin is Literal:
        if str(value) not in inner:
            raise bad_run(file, key, f"is {value!r}", f"Choose one of: {', '.join(inner)}.")
        return str(value)
    if kind in _LISTS or origin in _LISTS:
        return _read_list(kind, value, file, key)
    if kind in _TABLES or origin in _TABLES:
        if not isinstance(value, Mapping):
            raise _expected(file, key, value, "keys and values", "Write them as `name: value`.")
        names, items = inner or (Any, Any)
        return {
            read_value(names, name, file, f"{key}: the key"): read_value(items, item, file, f"{key}.{name}")
            for name, item in value.items()
        }
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _expected(file, key, value, describe(kind))
    if kind is float and not math.isfinite(value):
        raise _expected(file, key, value, "a finite number")
    return value


def read_arguments(
    factory: Callable[..., Any], values: Mapping[str, Any], file: str, key: str, given: Collection[str] = ()
) -> dict[str, Any]:
    """Keyword arguments of `factory`, each of its annotated type.  given: names that the caller passes itself.

    Raises BadInput `bad_run`, also for a name that is not a parameter of `factory` and for a missing required one.
    """
    parameters = {n: p for n, p in inspect.signature(factory).parameters.items() if n not in given}
    hints = typing.get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    for name in values:
        if name not in parameters:
            raise bad_run(file, f"{key}.{name}", "is not known", f"Known are: {', '.join(parameters)}.")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in values:
            raise missing_key(file, f"{key}.{name}")
    return {name: read_value(hints.get(name, Any), value, file, f"{key}.{name}") for name, value in values.items()}


def describe(kind: Any) -> str:
    """The name of a type for error messages."""
    if kind in _TYPE_NAMES:
        return _TYPE_NAMES[kind]
    origin = typing.get_origin(kind)
    if kind in _LISTS or origin in _LISTS:
        return "a list"
    if kind in _TABLES or origin in _TABLES or dataclasses.is_dataclass(kind):
        return "keys and values"
    if origin is Literal:
        return " or ".join(typing.get_args(kind))
    return getattr(kind, "__name__", str(kind))


def bad_run(file: str, key: str, what: str, hint: str) -> BadInput:
    return BadInput("bad_run", f"{file}: {key or 'the whole file'} {what}.", hint)


def missing_key(file: str, key: str) -> BadInput:
    return bad_run(file, key, "is missing", "Every run file is complete: add it.")


def _expected(file: str, key: str, value: Any, what: str, hint: str = "Correct it.") -> BadInput:
    return bad_run(file, key, f"is {value!r}, expected {what}", hint)


def _read_fields(kind: type, value: Any, file: str, key: str) -> Any:
    if not isinstance(value, Mapping):
        raise _expected(file, key, value, "keys and values", "Write them as `name: value`.")
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    hints = typing.get_type_hints(kind)
    prefix = f"{key}." if key else ""
    for name in value:
        if name not in fields:
            raise bad_run(file, prefix + str(name), "is not known", f"Known are: {', '.join(fields)}.")
    values = {name: read_value(hints[name], item, file, prefix + name) for name, item in value.items()}
    for name, f in fields.items():
        needed = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if needed and name not in values:
            raise missing_key(file, prefix + name)
    return kind(**values)


def _read_union(members: tuple[Any, ...], value: Any, file: str, key: str) -> Any:
    if value is None and type(None) in members:
        return None
    members = tuple(m for m in members if m is not type(None))
    if len(members) == 1:
        return read_value(members[0], value, file, key)
    for member in members:
        try:
            return read_value(member, value, file, key)
        except BadInput:
            continue
    raise _expected(file, key, value, " or ".join(dict.fromkeys(map(describe, members))))


def _read_list(kind: Any, value: Any, file: str, key: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _expected(file, key, value, "a list", "Write [a, b], or begin its lines with '- '.")
    inner = typing.get_args(kind) or (Any,)
    as_tuple = (typing.get_origin(kind) or kind) is tuple
    if as_tuple and inner[-1] is not Ellipsis and typing.get_args(kind):
        if len(value) != len(inner):
            raise _expected(file, key, value, f"a list of {len(inner)}")
        return tuple(
            read_value(one, item, file, f"{key}[{k}]") for k, (one, item) in enumerate(zip(inner, value, strict=True))
        )
    values = [read_value(inner[0], item, file, f"{key}[{k}]") for k, item in enumerate(value)]
    return tuple(values) if as_tuple else values
