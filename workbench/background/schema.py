"""Types and docstrings as JSON schema, and arguments checked against it: as much of the standard as the signatures of functions need."""

from __future__ import annotations

import inspect
import json
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from workbench.errors import InputError

Schema: TypeAlias = Mapping[str, Any]

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_PYTHON: Mapping[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}
_PARAMETER = re.compile(r"^\s*(?::param\s+)?(\w+)\s*(?:\([^)]*\))?:\s*(.+)$")


def schema_of(function: Callable[..., Any]) -> Schema:
    """The JSON schema of the parameters of a function; their descriptions come from its docstring or from `Annotated`.

    Raises InputError for a parameter without a type, of a type that JSON does not know, or without a name of its own, and for a function
    that has no name or whose result has to be waited for.
    """
    _check_callable(function)
    hints, described = _hints(function), parameters_described(function)
    properties: dict[str, Any] = {}
    required = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InputError(f"{function.__name__}: {parameter} cannot be given by name; a tool takes named parameters only")
        if name not in hints:
            raise InputError(f"{function.__name__}: parameter {name!r} has no type; annotate it, e.g. {name}: str")
        body = _type_schema(hints[name], f"{function.__name__}: parameter {name!r}")
        if name in described:
            body = {"description": described[name], **body}
        if parameter.default is parameter.empty:
            required.append(name)
        elif (default := _plain(parameter.default)) is not None:
            body = {**body, "default": default}
        properties[name] = body
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _check_callable(function: Callable[..., Any]) -> None:
    if not inspect.isroutine(function):
        raise InputError(f"{function!r} is no function with a name; a tool is one that is written with def")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InputError(
            f"{function.__name__} is async, and a tool is called without a loop of events; write it with def, and what is to be awaited "
            "in it as asyncio.run(...)"
        )
    if inspect.isgeneratorfunction(function):
        raise InputError(f"{function.__name__} gives its result bit by bit with yield; a tool returns it, e.g. as a list")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of a function. Raises InputError where one of them cannot be found."""
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise InputError(
            f"{function.__name__}: its types cannot be read ({error}); a type is named by what its module knows when @tool is reached, so "
            "define or import it at the top of the file, before the function"
        ) from error


def _plain(default: Any) -> str | int | float | bool | None:
    """A default as JSON has it; None where there is none to tell."""
    value = default.value if isinstance(default, Enum) else default
    told = isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))
    return value if told else None


def _choices(values: Iterable[Any], where: str) -> dict[str, Any]:
    """The schema of one of these values. Raises InputError where one of them is nothing that JSON can name."""
    choices = list(values)
    odd = [value for value in choices if isinstance(value, Enum) or not isinstance(value, str | int | float | bool | None)]
    if odd:
        raise InputError(f"{where} may be {odd[0]!r}, which JSON does not know; let the values be str, int, float, bool or None")
    return {"enum": choices}


def _type_schema(hint: Any, where: str) -> dict[str, Any]:
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if origin is Annotated:
        described = [note for note in inner[1:] if isinstance(note, str)]
        return {**({"description": described[0]} if described else {}), **_type_schema(inner[0], where)}
    if origin is Literal:
        return _choices(inner, where)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_type_schema(each, where) for each in inner]}
    if origin is list and inner:
        return {"type": "array", "items": _type_schema(inner[0], where)}
    if origin is dict and inner and inner[0] is str:
        return {"type": "object", "additionalProperties": _type_schema(inner[1], where)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _choices((member.value for member in hint), where)
    raise InputError(
        f"{where} is a {hint}, which JSON does not know; use str, int, float, bool, list[...], dict[str, ...], Literal or Enum"
    )


def description_of(function: Callable[..., Any]) -> str:
    """The first paragraph of a docstring, on one line. Raises InputError when there is none."""
    text = (inspect.getdoc(function) or "").split("\n\n")[0].strip()
    if not text:
        raise InputError(f"{function.__name__} has no docstring; its first paragraph tells a model what the tool is for")
    return " ".join(text.split())


def parameters_described(function: Callable[..., Any]) -> dict[str, str]:
    """Parameter to description, of a docstring with an "Args:" section or ":param name:" lines."""
    found: dict[str, str] = {}
    inside = False
    names = set(inspect.signature(function).parameters)
    for line in (inspect.getdoc(function) or "").splitlines():
        inside = line.strip() in ("Args:", "Arguments:", "Parameters:") or (inside and bool(line.strip()) and line.startswith(" "))
        match = _PARAMETER.match(line)
        if match and match[1] in names and (inside or line.lstrip().startswith(":param")):
            found[match[1]] = match[2].strip()
    return found


def check_arguments(schema: Schema, arguments: object) -> dict[str, Any]:
    """The arguments if they fit the schema. Raises InputError with the first that does not, the rule and what was given."""
    problem = _problem(schema, arguments, "arguments")
    if problem:
        raise InputError(problem)
    assert isinstance(arguments, dict)
    return arguments


def typed(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Checked arguments as the function takes them: what stands for a member of an `Enum` is that member, in lists and such as well.

    A parameter of which the function tells no type is given what it was, as in a tool whose function was put in place of another.
    """
    hints = _hints(function)
    return {name: _as_typed(hints[name], value) if name in hints else value for name, value in arguments.items()}


def _as_typed(hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _as_typed(inner[0], value)
    if origin in (Union, types.UnionType):
        fitting = next(each for each in inner if not _problem(_type_schema(each, ""), value, ""))
        return _as_typed(fitting, value)
    if origin is list:
        return [_as_typed(inner[0], each) for each in value]
    if origin is dict:
        return {name: _as_typed(inner[1], each) for name, each in value.items()}
    return hint(value) if isinstance(hint, type) and issubclass(hint, Enum) else value


def _problem(schema: Schema, value: object, where: str) -> str:
    if "anyOf" in schema:
        problems = [_problem(each, value, where) for each in schema["anyOf"]]
        return "" if "" in problems else problems[0]
    if "enum" in schema:
        same = any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in schema["enum"])
        return "" if same else f"{where} is {_shown(value)}; it is one of {', '.join(map(repr, schema['enum']))}"
    kind = schema.get("type")
    if kind is not None and (not isinstance(value, _PYTHON[kind]) or (isinstance(value, bool) and kind in ("integer", "number"))):
        return f"{where} is {_shown(value)}, which is no {kind}"
    if isinstance(value, list) and "items" in schema:
        return next(filter(None, (_problem(schema["items"], each, f"{where}[{i}]") for i, each in enumerate(value))), "")
    if isinstance(value, dict):
        return _object_problem(schema, value, where)
    return ""


def _object_problem(schema: Schema, value: dict[str, Any], where: str) -> str:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{where} lacks {', '.join(missing)}"
    for name, each in value.items():
        if name not in known and rest is False:
            return f"{where} has {name!r}, which is not known; there are {', '.join(known) or 'none'}"
        inner = known.get(name, rest)
        problem = _problem(inner, each, name) if isinstance(inner, Mapping) else ""
        if problem:
            return problem
    return ""


def _shown(value: object) -> str:
    try:
        return json.dumps(value)[:60]
    except (TypeError, ValueError):
        return f"a {type(value).__name__}"
