"""A function becomes a tool by its types and its docstring, and whatever it does, there is an outcome and nobody else is harmed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from functools import partial

import pytest

from tests import tool_samples as samples
from workbench.background.parts import Answer, Envelope, Failure, NeedsConsent, checked
from workbench.background.schema import check_arguments, schema_of
from workbench.background.shown import showable
from workbench.background.sizes import in_short, within
from workbench.background.toolbox import Calls, Toolbox, call_name
from workbench.background.tools import _CHILD, Isolation, Outcome, Tool, run_tool, tool
from workbench.errors import InputError


def never() -> bool:
    return False


def test_types_and_docstring_become_the_schema() -> None:
    assert samples.add.spec()["function"] == {
        "name": "add",
        "description": "Add two whole numbers.",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"description": "the first", "type": "integer"},
                "b": {"description": "the second", "type": "integer", "default": 2},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
    }
    table = samples.book.schema["properties"]
    assert samples.book.description == "Book a table in the restaurant."
    assert table["table"] == {"description": "number of the table", "type": "integer"}
    assert table["seats"] == {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    assert samples.pay.schema["properties"]["colour"] == {"enum": ["red", "blue"], "default": "red"}
    assert samples.add(1) == 3


def test_a_function_that_says_too_little_is_refused() -> None:
    def untyped(a) -> int:  # type: ignore[no-untyped-def]
        """Do."""
        return int(a)

    def mute(a: int) -> int:
        return a

    def odd(a: complex) -> None:
        """Do."""

    with pytest.raises(InputError, match="parameter 'a' has no type; annotate it"):
        tool(untyped)
    with pytest.raises(InputError, match="mute has no docstring"):
        tool(mute)
    with pytest.raises(InputError, match=r"complex.*which JSON does not know"):
        tool(odd)
    with pytest.raises(InputError, match="permission 'maybe' is not known"):
        tool(permission="maybe")  # type: ignore[call-overload]


def test_a_function_whose_result_does_not_come_by_returning_it_is_refused() -> None:
    async def slow(a: int) -> int:
        """Do."""
        return a

    def bit_by_bit(a: int) -> Iterator[int]:
        """Do."""
        yield a

    with pytest.raises(InputError, match=r"slow is async.*write it with def.*asyncio\.run"):
        tool(slow)
    with pytest.raises(InputError, match=r"bit_by_bit gives its result bit by bit with yield; a tool returns it"):
        tool(bit_by_bit)
    with pytest.raises(InputError, match="is no function with a name"):
        tool(partial(samples.add.function, 1))


def test_a_type_that_cannot_be_found_or_that_json_cannot_name_is_refused() -> None:
    class Odd(Enum):
        PAIR = (1, 2)

    def forward(a: Missing) -> str:  # type: ignore[name-defined]  # noqa: F821
        """Do."""
        return str(a)

    def pairs(a: int) -> str:
        """Do."""
        return str(a)

    pairs.__annotations__["a"] = Odd
    with pytest.raises(InputError, match=r"forward: its types cannot be read \(name 'Missing' is not defined\).*top of the file"):
        tool(forward)
    with pytest.raises(InputError, match=r"parameter 'a' may be \(1, 2\), which JSON does not know"):
        tool(pairs)


@pytest.mark.parametrize("isolation", ["process", "thread", "inline"])
def test_a_function_is_given_members_of_its_enum(isolation: Isolation) -> None:
    paint = replace(samples.paint, isolation=isolation)
    arguments = {"colour": "red", "rest": ["blue", "red"], "names": {"a": "blue", "b": 4}}
    assert run_tool(paint, arguments, never).value == "RED BLUE RED Colour.BLUE 4"
    assert run_tool(paint, {"colour": "green"}, never).cause == "colour is \"green\"; it is one of 'red', 'blue'"
    assert run_tool(tool(isolation=isolation)(samples.drawn), {"colour": "blue"}, never).value == "BLUE"


class Counted(list[int]):
    """Very long, and it counts how much of it is looked at."""

    looked_at = 0

    def __iter__(self) -> Iterator[int]:
        while True:
            Counted.looked_at += 1
            yield 7


def test_no_more_of_a_result_is_looked_at_than_is_taken() -> None:
    Counted.looked_at = 0

    @tool(most_chars=1000)
    def many() -> object:
        """Return far too much."""
        return {"rows": [Counted()]}

    assert run_tool(many, {}, never).cause == "many returned more than the 1000 characters that are taken"
    assert 0 < Counted.looked_at <= 1001
    part = checked(Answer(text="x", shown={"rows": Counted()}), 2000)
    assert part == Failure(cause="too large: the agent's answer has more than the 2000 characters that are taken")
    assert Counted.looked_at <= 3001


@pytest.mark.parametrize(
    "value",
    ["äöü\n", [1, -2.5, 1e300, True, None], {"a": [], "b": {}, "c": [[[]]], "1": [0] * 50}, [("a", 1)] * 3, ["", ""]],
)
def test_what_fits_is_never_found_too_large(value: object) -> None:
    most = len(json.dumps(value, ensure_ascii=False))
    assert within(value, most)
    assert not within([value] * (most + 1), most)


def test_a_value_that_holds_itself_is_no_json_and_one_that_holds_another_twice_is() -> None:
    looping: list[object] = []
    looping.append({"a": looping})
    with pytest.raises(ValueError, match="it holds itself"):
        within(looping, 10_000)
    twice = [1]
    assert within([twice, twice], 100)


def test_an_error_with_very_much_to_say_is_named_only() -> None:
    assert in_short(ValueError("no such thing")) == "ValueError: no such thing"
    assert in_short(KeyError([7] * 100_000)) == "KeyError, with too much to say"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"table": 4, "name": "Ann"}, ""),
        ({"table": 4, "name": "Ann", "seats": ["a"]}, ""),
        ({"table": "4", "name": "Ann"}, 'table is "4", which is no integer'),
        ({"table": True, "name": "Ann"}, "table is true, which is no integer"),
        ({"name": "Ann"}, "arguments lacks table"),
        ({"table": 4, "name": "Ann", "seats": [1]}, r"seats\[0\] is 1, which is no string"),
        ({"table": 4, "name": "Ann", "tip": 1}, "arguments has 'tip', which is not known"),
        (["table"], "which is no object"),
    ],
)
def test_arguments_are_checked_against_the_schema(arguments: object, problem: str) -> None:
    schema = schema_of(samples.book.function)
    if problem:
        with pytest.raises(InputError, match=problem):
            check_arguments(schema, arguments)
    else:
        assert check_arguments(schema, arguments) == arguments


@pytest.mark.parametrize(
    ("bad", "arguments", "cause"),
    [
        (samples.hang, {}, "time-out: hang gave nothing within 0.5 s and was killed"),
        (samples.crash, {}, "crash raised ValueError: no such thing"),
        (samples.leave, {}, "leave ended without an answer"),
        (samples.megabytes, {"count": 3}, "megabytes returned 3000002 characters; 100 are taken"),
        (samples.eat, {}, "eat raised MemoryError"),
        (samples.strange, {}, "strange raised TypeError"),
        (samples.add, {"a": "x"}, 'a is "x", which is no integer'),
    ],
    ids=lambda value: value.name if isinstance(value, Tool) else "",
)
def test_a_bad_tool_ends_with_a_cause(bad: Tool, arguments: dict[str, object], cause: str) -> None:
    outcome = run_tool(bad, arguments, never)
    assert not outcome.ok
    assert cause in outcome.cause


def test_a_good_tool_returns_and_what_it_prints_is_thrown_away(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_tool(samples.add, {"a": 40}, never) == Outcome(True, 42, "42")
    assert run_tool(samples.flood, {}, never) == Outcome(True, "done", "done")
    assert capfd.readouterr().out == ""


def test_a_tool_that_only_a_notebook_knows_runs_in_a_thread_and_is_left_alone() -> None:
    free = threading.Event()

    @tool(timeout_s=0.05)
    def waits() -> str:
        """Wait."""
        free.wait()
        return "late"

    assert waits.isolation == "thread"
    assert run_tool(waits, {}, never).cause == "time-out: waits gave nothing within 0.05 s and was left alone"
    free.set()
    assert run_tool(waits, {}, never).text == "late"


def test_a_tool_is_killed_when_its_work_is_cancelled() -> None:
    assert run_tool(samples.hang, {}, lambda: True).cause == "hang is not wanted any more"


def test_a_process_ends_by_itself_where_nobody_is_left_to_kill_it() -> None:
    order = {"module": "tests.tool_samples", "name": "hang", "file": None, "path": sys.path, "arguments": {}}
    told = json.dumps({**order, "most_chars": 100, "memory_mb": 4000, "most_s": 5.0}).encode()
    done = subprocess.run([sys.executable, "-I", str(_CHILD)], input=told, capture_output=True, timeout=60)
    assert (done.stdout, done.returncode) == (b" ", -signal.SIGALRM), "it had begun"


# --- what is shown --------------------------------------------------------------------------------------------------------------

ISOLATIONS: tuple[Isolation, ...] = ("process", "thread", "inline")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_tool_shows_something_besides_its_result(isolation: Isolation) -> None:
    table = run_tool(replace(samples.bookings, isolation=isolation), {"room": "hall"}, never)
    assert (table.ok, table.value, table.text) == (True, {"booked": 2}, '{"booked": 2}')
    rows = [[1, "<script>alert(1)</script>"], [2, "Bob"]]
    assert table.shown == {"kind": "table", "caption": "hall", "columns": ["seat", "name"], "rows": rows}
    picture = run_tool(replace(samples.photograph, isolation=isolation), {"what": "dot"}, never)
    assert (picture.text, picture.shown) == ("a picture of dot", showable({"kind": "image", "data": samples.DOT, "alt": "dot"}))


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_what_a_tool_shows_has_to_be_a_thing_and_counts_among_its_characters(isolation: Isolation) -> None:
    wrong = run_tool(replace(samples.markup, isolation=isolation), {}, never)
    assert not wrong.ok
    assert "kind 'html' cannot be shown; give an object whose \"kind\" is one of text, table, figure, image" in wrong.cause
    large = run_tool(replace(samples.wordy, isolation=isolation), {}, never)
    assert (large.ok, large.cause) == (False, "wordy returned 435 characters; 300 are taken")


# --- who may call ---------------------------------------------------------------------------------------------------------------

BOX = Toolbox((samples.add, samples.book, samples.pay, samples.destroy, samples.read_mail))


def calls(**changes: object) -> Calls:
    envelope = Envelope(session="s", task="1", run=1, origin_tick=0, origin_s=0.0, ask="x", **changes)  # type: ignore[arg-type]
    return Calls(BOX, envelope, never)


def test_permissions_decide_and_every_call_is_told() -> None:
    mine = calls()
    assert mine.call("add", {"a": 1}) == Outcome(True, 3, "3")
    asked = mine.call("book", {"table": 3, "name": "Ann"})
    assert isinstance(asked, NeedsConsent)
    assert (asked.how, asked.text) == ("voice", "may I book with table 3 and name Ann")
    assert mine.call("destroy", {}) == Outcome(False, cause="destroy was not called: it may never be called")
    assert mine.call("fly", {}) == Outcome(False, cause="fly was not called: there is no tool 'fly'")
    assert [(u.tool, u.done) for u in mine.told()] == [("add", "ran"), ("book", "asked"), ("destroy", "refused"), ("fly", "refused")]
    assert list(mine.told()) == []


def test_consent_holds_once_and_for_that_very_call_only() -> None:
    agreed = calls(consents=(call_name("book", {"table": 3, "name": "Ann"}),))
    assert agreed.judge("book", {"name": "Ann", "table": 3})[0] == "run"
    assert agreed.judge("book", {"name": "Bob", "table": 3})[0] == "ask"
    agreed.call("book", {"table": 3, "name": "Ann"})
    assert agreed.judge("book", {"table": 3, "name": "Ann"})[0] == "ask"
    refused = calls(refusals=(call_name("book", {"table": 3, "name": "Ann"}),))
    assert refused.judge("book", {"name": "Ann", "table": 3}) == ("refuse", "the user did not agree")


def test_who_has_read_foreign_text_can_only_talk() -> None:
    mine = calls()
    assert isinstance(mine.call("read_mail", {"box": "in"}), Outcome)
    for name, arguments in (("add", {"a": 1}), ("book", {"table": 1, "name": "Eve"}), ("read_mail", {"box": "out"})):
        assert mine.judge(name, arguments) == ("refuse", "text of others was read before, and may have asked for it")


def test_a_task_without_a_user_behind_it_calls_nothing() -> None:
    mine = calls(authority=False, source="other.speech")
    assert {mine.judge(tool.name, {})[0] for tool in BOX.tools} == {"refuse"}
    assert BOX.offered(mine.envelope) == []


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="two tools are called 'add'"):
        Toolbox((samples.add, samples.add))
