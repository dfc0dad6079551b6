"""Settings as TOML: a table becomes a frozen dataclass, strictly, and back."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_settings(cls: type[T], path: Path) -> T:
    """The settings in a TOML file.

    Every field of `cls` without a default must be given and nothing else may be; raises ValueError that names file, key, value and rule,
    also for what `cls` itself refuses.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML ({error}); correct that line") from None
    return from_table(cls, table, str(path))


def from_table(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """The dataclass that a table of plain values describes; `where` names the table in error messages."""
    hints = get_type_hints(cls)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: there is no setting {key!r}; the settings here are {', '.join(known)}")
    for name, field in known.items():
        if name not in table and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{where}: setting {name!r} is missing; a recipe says everything, so add it")
    values = {name: _value(hints[name], value, f"{where}: {name}") for name, value in table.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def at_least(settings: Any, low: float, fix: str, *names: str) -> None:
    """That none of these numbers is smaller; raises ValueError with the value, the rule and the fix. For `__post_init__` of settings."""
    for name in names:
        if not getattr(settings, name) >= low:  # nor is it no number (nan)
            raise ValueError(f"{name} = {getattr(settings, name):g} must be at least {low:g}; {fix}")


def positive(settings: Any, fix: str, *names: str) -> None:
    """That these numbers are greater than 0."""
    for name in names:
        if not getattr(settings, name) > 0:
            raise ValueError(f"{name} = {getattr(settings, name):g} must be greater than 0; {fix}")


def shares(settings: Any, fix: str, *names: str) -> None:
    """That these numbers are shares or chances."""
    for name in names:
        if not 0 <= getattr(settings, name) <= 1:
            raise ValueError(f"{name} = {getattr(settings, name):g} must lie between 0 and 1; {fix}")


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return from_table(kind, value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else list(inner)
        if len(kinds) == len(value):
            return tuple(_value(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _value(inner[1], v, f"{where}.{key}") for key, v in value.items()}
    if origin is Literal and value in inner:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    raise ValueError(f"{where} is {value!r}; it must be {_named(kind)}")


def _named(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, inner))
    if origin is tuple:
        return f"a list of {_named(inner[0])}" if inner[1:] == (...,) else f"a list of {len(inner)}: {', '.join(map(_named, inner))}"
    if origin is dict:
        return f"a table of names with {_named(inner[1])}"
    if origin in (Union, UnionType):
        return " or ".join(map(_named, inner))
    if is_dataclass(kind):
        return "a table of settings"
    return {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}.get(kind, str(kind))


def to_toml(settings: Any) -> str:
    """A dataclass of settings as TOML text, which `read_settings` reads back."""
    return "\n".join(_lines(_plain(settings), ())).strip() + "\n"


def _plain(value: Any) -> Any:
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)} if is_dataclass(value) else value


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    if path:
        yield f"\n[{'.'.join(path)}]"
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{key} = {_text(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*path, key))


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)
