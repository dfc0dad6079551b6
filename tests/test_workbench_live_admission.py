"""Who may begin a live session, and when the others are told to come back."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from workbench.errors import InputError
from workbench.live.admission import Admission, Attempts, Limits, Ticket
from workbench.live.protocol import Problem


@dataclass
class Wall:
    """A clock that is pushed by hand."""

    at_s: float = 1000.0

    def now(self) -> float:
        return self.at_s


def admitted(desk: Admission, visitor: str) -> Ticket:
    ticket = desk.ask(visitor)
    assert isinstance(ticket, Ticket), ticket
    return ticket


def refused(desk: Admission, visitor: str) -> str:
    problem = desk.ask(visitor)
    assert isinstance(problem, Problem), problem
    assert problem.code == "full"
    return problem.text


def test_the_fifth_of_four_is_told_when_the_first_place_is_free() -> None:
    wall = Wall()
    desk = Admission(Limits(sessions=4, minutes=10), wall.now)
    tickets = []
    for number in range(4):
        tickets.append(admitted(desk, f"visitor {number}"))
        wall.at_s += 60
    assert refused(desk, "fifth") == "full: 4 conversations of 4 going on; try again in 6 minutes"
    wall.at_s += 330
    assert refused(desk, "fifth").endswith("try again in 1 minute")
    desk.leave(tickets[2])
    desk.leave(tickets[2])
    admitted(desk, "fifth")
    assert "4 conversations of 4" in refused(desk, "sixth")


def test_a_visitor_has_so_many_minutes_in_an_hour_and_they_come_back() -> None:
    wall = Wall()
    desk = Admission(Limits(minutes=10, visitor_minutes=15, window_minutes=60), wall.now)
    first = admitted(desk, "ann")
    assert first.ends_s - first.began_s == 600
    wall.at_s += 600
    desk.leave(first)
    second = admitted(desk, "ann")
    assert second.ends_s - second.began_s == 300
    wall.at_s += 300
    desk.leave(second)
    assert refused(desk, "ann") == "you have used your 15 minutes for now, so that others can have a turn; try again in 45 minutes"
    admitted(desk, "bob")
    wall.at_s += 45 * 60
    admitted(desk, "ann")


def test_minutes_that_were_granted_to_another_tab_are_not_granted_twice() -> None:
    desk = Admission(Limits(minutes=10, visitor_minutes=15), Wall().now)
    assert [round(t.ends_s - t.began_s) for t in (admitted(desk, "ann"), admitted(desk, "ann"))] == [600, 300]
    assert "used your 15 minutes" in refused(desk, "ann")


def test_a_visitor_has_so_many_bytes() -> None:
    desk = Admission(Limits(visitor_bytes=2_000_000), Wall().now)
    ticket = admitted(desk, "ann")
    desk.leave(ticket, used_bytes=1_500_000)
    ticket = admitted(desk, "ann")
    assert ticket.bytes == 500_000
    desk.leave(ticket, used_bytes=500_000)
    assert "used your 2 MB" in refused(desk, "ann")


def test_a_place_that_was_never_given_back_is_free_a_minute_after_its_end() -> None:
    wall = Wall()
    desk = Admission(Limits(sessions=1, minutes=10), wall.now)
    admitted(desk, "gone")
    wall.at_s += 10 * 60 + 59
    assert refused(desk, "next").endswith("try again in 1 minute")
    wall.at_s += 2
    admitted(desk, "next")


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="every limit must be above 0"):
        Limits(sessions=0)


def test_so_many_tries_to_log_in_are_looked_at_in_a_while_until_one_was_right() -> None:
    wall = Wall()
    door = Attempts(wall.now, most=3, window_s=60.0)
    assert [door.ask("ann") for _ in range(3)] == [0, 0, 0]
    wall.at_s += 20
    assert (door.ask("ann"), door.ask("bob")) == (40.0, 0.0)
    wall.at_s += 40
    assert [door.ask("ann") for _ in range(4)] == [0, 0, 0, 60.0]
    door.right("ann")
    assert door.ask("ann") == 0
