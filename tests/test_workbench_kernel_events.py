"""Every event survives JSON, known or not, and what it does not know it carries along."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import TraceError
from workbench.events import KINDS, Event, Gate, Unknown, from_json, kind_of, to_json

NUMBERS = st.floats(allow_nan=False)
WORDS = st.text(max_size=8)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | NUMBERS | WORDS, lambda inner: st.dictionaries(WORDS, inner, max_size=2))
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "<class 'str'>": WORDS,
    "<class 'int'>": st.integers(),
    "<class 'float'>": NUMBERS,
    "<class 'bool'>": st.booleans(),
    "tuple[str, ...]": st.lists(WORDS, max_size=3).map(tuple),
    "tuple[tuple[str, float], ...]": st.lists(st.tuples(WORDS, NUMBERS), max_size=3).map(tuple),
    "tuple[workbench.events.Gate, ...]": st.lists(st.builds(Gate, WORDS, WORDS, WORDS, WORDS), max_size=2).map(tuple),
    "collections.abc.Mapping[str, typing.Any]": st.dictionaries(WORDS, JSON, max_size=2),
    "collections.abc.Mapping[str, float]": st.dictionaries(WORDS, NUMBERS, max_size=3),
}


def events() -> st.SearchStrategy[Event]:
    kinds = []
    for cls in KINDS.values():
        hints = get_type_hints(cls)
        names = [f.name for f in fields(cls) if f.name != "extra"]
        taken = {*names, "kind", "extra"}
        extra = st.dictionaries(WORDS.filter(lambda key, taken=taken: key not in taken), JSON, max_size=2)
        kinds.append(st.builds(cls, extra=extra, **{name: BY_TYPE[str(hints[name])] for name in names}))
    unknown_names = WORDS.filter(lambda name: name not in KINDS)
    bodies = st.dictionaries(WORDS.filter(lambda key: key != "kind"), JSON, max_size=3)
    return st.one_of(*kinds, st.builds(Unknown, name=unknown_names, body=bodies))


@given(events())
def test_an_event_survives_json(event: Event) -> None:
    text = json.dumps(to_json(event))
    back = from_json(json.loads(text))
    assert back == event
    assert json.loads(text)["kind"] == kind_of(event)
    assert json.dumps(to_json(back)) == text


def test_an_unknown_kind_and_unknown_fields_are_carried_along() -> None:
    later = {"kind": "model.sighed", "at_s": 1.5, "deep": {"yes": [1, 2]}}
    event = from_json(later)
    assert isinstance(event, Unknown)
    assert to_json(event) == later
    newer = {"kind": "model.speech.started", "at_s": 0.4, "loudness_db": -20.0}
    known = from_json(newer)
    assert known.extra == {"loudness_db": -20.0}
    assert to_json(known) == newer


def test_an_event_without_kind_or_field_is_refused() -> None:
    with pytest.raises(TraceError, match="has no 'kind'"):
        from_json({"at_s": 1.0})
    with pytest.raises(TraceError, match=r"does not fit kind 'model.speech.started'.*at_s"):
        from_json({"kind": "model.speech.started"})
