"""A live session: consent first, paced, never stalling, dropped on a barge-in, resumed or ended cleanly, and replayed from its trace."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.live_fakes import HELLO, Page, Slow, Wall, again, opened, ramp, sound_told
from workbench.agents import EchoAgent, ScriptedAgent, SilentAgent
from workbench.clock import ClockSpec, RealTime, time_of_day_s
from workbench.errors import InputError, PeerError
from workbench.events import (
    AgentHeld,
    AudioBuffered,
    AudioDropped,
    AudioLost,
    AudioSkipped,
    DeadlineMissed,
    LinkLost,
    LinkResumed,
    PlaybackPosition,
    SettingChanged,
    TranscriptDelta,
)
from workbench.given import keeps_of
from workbench.live.outbox import Outbox
from workbench.live.protocol import RATE, Audio, Consent, Drop, End, Frame, Problem, Set, Stop, Text, TickDone, Welcome, decode, encode
from workbench.live.runtime import LiveSession, LiveSpec
from workbench.packets import AGENT_AUDIO, USER_AUDIO, USER_CAMERA, USER_PLAYBACK, USER_TEXT
from workbench.policy_text import governed_by
from workbench.replay import replay
from workbench.store import Keep, read_features, read_trace, verify
from workbench.trace import Trace

SIZE = ClockSpec().samples_per_tick
COUNTING = ScriptedAgent(((2, ("one", "two", "three")), (5, ("<yield>",))))


def over(session: LiveSession, page: Page) -> tuple[End, Trace]:
    """Run a session to its end; how it ended, and its trace from the file."""
    end = session.run()
    assert page.of(End) == [end]
    assert verify(session.path).ok
    return end, read_trace(session.path)


def at(page: Page, seconds: float, message: object) -> None:
    page.wall.at(seconds, lambda: page.send(message))  # type: ignore[arg-type]


def test_who_looks_on_when_it_is_over_is_told_so(tmp_path: Path) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall())
    at(page, 1.0, Stop())
    end, _ = over(session, page)
    watcher = Outbox()
    session.watch(watcher)
    welcome, told = watcher.take()
    assert (welcome, told, watcher.closed) == (replace(page.of(Welcome)[0], token=""), end, True)


def test_what_is_said_is_heard_once_in_place_and_sent_back_by_an_echo(tmp_path: Path) -> None:
    wall = Wall()
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", wall)
    page.say(ramp(3.0))
    at(page, 3.5, Stop())
    end, trace = over(session, page)
    assert (end.reason, end.trace) == ("stopped", "a.sqlite")
    heard = np.rint(trace.audio(USER_AUDIO) * 32768).astype(np.int16)
    first, last = np.flatnonzero(heard)[[0, -1]]
    assert np.array_equal(heard[first : last + 1], ramp(3.0))
    told = sound_told(page)
    assert np.array_equal(told[SIZE:], heard[: len(told) - SIZE])
    assert [tick.position for tick in page.of(TickDone)] == [SIZE * n for n in range(len(trace))]
    assert {e.delay_ms for _, e in trace.events(AudioBuffered)} <= {40.0, 60.0, 80.0, 0.0}


def test_a_page_is_welcomed_with_what_is_kept_and_every_message_to_it_survives_the_wire(tmp_path: Path) -> None:
    spec = LiveSpec(keep={USER_AUDIO: Keep("features")})
    session, page = opened(COUNTING, tmp_path / "a.sqlite", Wall(), spec=spec)
    at(page, 1.9, Stop())
    over(session, page)
    welcome = page.told[0]
    assert isinstance(welcome, Welcome)
    assert (welcome.kept[USER_AUDIO], welcome.kept[AGENT_AUDIO], welcome.agent, welcome.rate) == ("features", "full", "ScriptedAgent", RATE)
    assert "floor" in welcome.lanes
    assert "camera" not in welcome.lanes  # this agent has no eyes
    for message in page.told:
        assert type(decode(*encode(message))) is type(message)
    words = [word for tick in page.of(TickDone) for word in tick.words]
    assert [(side, word) for side, word, *_ in words] == [("model", "one"), ("model", "two")]
    assert [tick.said for tick in page.of(TickDone)][2] == "one two three"


def test_a_session_of_features_only_leaves_no_sound_in_its_file_and_says_that_the_words_stay(tmp_path: Path) -> None:
    spec = LiveSpec(keep=keeps_of(["features-only"]))
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall(), spec=spec)
    page.say(ramp(2.0))
    at(page, 0.7, Text(text="hello"))
    at(page, 2.5, Stop())
    _, trace = over(session, page)
    welcome = page.told[0]
    assert isinstance(welcome, Welcome)
    assert [name for name, how in welcome.kept.items() if how == "features"] == [USER_AUDIO, AGENT_AUDIO]
    assert (welcome.kept[USER_TEXT], welcome.kept["transcript"]) == ("full", "full")
    assert trace.header.consent["retention"] == welcome.kept
    with sqlite3.connect(session.path) as file:
        kept = dict(file.execute("SELECT stream, group_concat(DISTINCT codec) FROM blob GROUP BY stream"))
    assert {USER_AUDIO: kept[USER_AUDIO], AGENT_AUDIO: kept[AGENT_AUDIO]} == {USER_AUDIO: "features", AGENT_AUDIO: "features"}
    assert any(feature.values["active"] for feature in read_features(session.path, USER_AUDIO))
    pcm, bytes_kept = ramp(2.0).astype("<i2").tobytes(), session.path.read_bytes()
    assert not any(pcm[begin : begin + 64] in bytes_kept for begin in range(0, len(pcm) - 64, 6400))
    assert "hello" in [turn.text(USER_TEXT) for turn in trace.turns]


def test_a_session_tells_of_every_stream_whose_keeping_was_settled(tmp_path: Path) -> None:
    spec = LiveSpec(keep={USER_PLAYBACK: Keep("none")})
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall(), spec=spec)
    at(page, 0.5, Stop())
    over(session, page)
    assert page.told[0].kept[USER_PLAYBACK] == "none"  # type: ignore[union-attr]


def test_before_consent_nothing_is_taken_and_no_tick_passes(tmp_path: Path) -> None:
    wall = Wall()
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", wall, consents=False)
    page.say(ramp(1.0))
    at(page, 1.5, Text(text="hello"))
    at(page, 2.0, Consent(given=True))
    at(page, 3.0, Stop())
    _, trace = over(session, page)
    assert not trace.audio(USER_AUDIO).any()
    assert [p for turn in trace.turns for p in turn.packets if p.stream == USER_TEXT] == []
    assert len(trace) == pytest.approx(5, abs=1)
    assert {p.code for p in page.of(Problem)} == {"no-consent"}
    assert trace.header.consent["given"] is True
    assert trace.header.consent["retention"][USER_AUDIO] == "full"


@pytest.mark.parametrize("refuses", [True, False])
def test_without_consent_there_is_no_trace(tmp_path: Path, refuses: bool) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall(), consents=False)
    if refuses:
        at(page, 1.0, Consent(given=False))
    end = session.run()
    assert (end.reason, end.trace) == ("stopped" if refuses else "left", None)
    assert "nothing was recorded" in end.text
    assert list(tmp_path.iterdir()) == []


def test_typed_lines_one_a_tick_and_camera_frames_arrive_in_the_tick_after_they_were_sent(tmp_path: Path) -> None:
    session, page = opened(SilentAgent(), tmp_path / "a.sqlite", Wall())
    shown = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    at(page, 0.7, Text(text="two plus"))
    at(page, 0.75, Text(text="three"))
    at(page, 0.9, Frame(at=0.0, frames=shown))
    at(page, 2.5, Stop())
    _, trace = over(session, page)
    assert [(t.tick, t.text(USER_TEXT)) for t in trace.turns if t.text(USER_TEXT)] == [(4, "two plus"), (5, "three")]
    seen = [t for t in trace.turns if t.get(USER_CAMERA) is not None]
    assert [t.tick for t in seen] == [5, 6, 7]
    assert np.array_equal(seen[0].get(USER_CAMERA), shown)


def test_a_tick_that_begins_too_late_says_nothing_and_no_more_than_one_tick_is_caught_up(tmp_path: Path) -> None:
    wall = Wall()
    agent = Slow(ScriptedAgent(((3, ("one",)), (4, ("two",)), (5, ("three",)))), wall, {3: 1.3})
    session, page = opened(agent, tmp_path / "a.sqlite", wall)
    came: list[float] = []
    page.outbox._notify = lambda: came.append(wall.at_s - 1000.0)
    page.say(ramp(4.0))
    at(page, 3.9, Stop())
    _, trace = over(session, page)
    missed = [(tick, e.stage, round(e.late_ms)) for tick, e in trace.events(DeadlineMissed)]
    assert missed == [(3, "end", 1100), (4, "begin", 1100)]
    assert [tick for tick, _ in trace.events(AgentHeld)] == [4]
    assert trace.turns[4].get(AGENT_AUDIO) is None
    assert np.round(came[:8], 3).tolist() == [0.0, 0.2, 0.4, 1.9, 1.9, 1.9, 2.1, 2.3]
    assert sum(e.samples for _, e in trace.events(AudioSkipped)) > 0
    assert len(trace) == pytest.approx((3.9 - 0.9) / 0.2, abs=2)
    assert replay(trace).difference is None


def test_an_agent_that_is_always_too_slow_does_not_stall_the_session(tmp_path: Path) -> None:
    wall = Wall()
    agent = Slow(SilentAgent(), wall, dict.fromkeys(range(1000), 0.25))
    session, page = opened(agent, tmp_path / "a.sqlite", wall)
    page.say(ramp(20.0))
    at(page, 20.0, Stop())
    _, trace = over(session, page)
    held = [tick for tick, _ in trace.events(AgentHeld)]
    assert max(tick.late_ms for tick in page.of(TickDone)) <= 450
    assert 10 <= len(held) <= len(trace) // 4
    assert 75 <= len(trace) <= 100


def test_a_barge_in_drops_what_was_not_played_and_the_trace_says_how_much(tmp_path: Path) -> None:
    wall = Wall()
    session, page = opened(COUNTING, tmp_path / "a.sqlite", wall)
    wall.at(0.9, lambda: page.play(position=2 * SIZE, queued=3 * SIZE))
    at(page, 2.0, Stop())
    _, trace = over(session, page)
    assert [(tick, e.heard_s, e.queued_s) for tick, e in trace.events(PlaybackPosition)] == [(5, 0.4, pytest.approx(0.6))]
    ((tick, dropped),) = trace.events(AudioDropped)
    played = 2 * SIZE + round(0.1 * RATE)
    assert (tick, dropped.position, dropped.samples) == (5, played, 5 * SIZE - played)
    page.take()
    kinds = [m.tick if isinstance(m, TickDone) else m for m in page.told if isinstance(m, TickDone | Drop)]
    assert kinds[5:7] == [Drop(from_position=played), 5]


def test_the_loop_never_waits_for_a_listener_who_takes_nothing_and_it_is_told_what_it_lost(tmp_path: Path) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall(), places=5)
    watcher = Outbox(5)
    session.watch(watcher)
    at(page, 4.0, Stop())
    session.run()
    lost = len(read_trace(session.path)) - 5
    first, welcome, *ticks, end = page.take()
    assert first == Problem(
        code="slow",
        text=f"{lost} ticks were thrown away because this page took them too slowly; close other tabs, or use a faster connection",
    )
    assert isinstance(welcome, Welcome)
    assert [t.tick for t in ticks if isinstance(t, TickDone)] == list(range(lost, lost + 5))
    assert end == session.end
    assert page.outbox.lost == watcher.lost == lost


def test_a_page_that_comes_back_in_time_goes_on_in_the_same_session(tmp_path: Path) -> None:
    wall = Wall()
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", wall)
    back: list[Page] = []

    def reload() -> None:
        back.append(again(page))
        back[0].say(ramp(1.0))
        at(back[0], 1.5, Stop())

    page.say(ramp(0.8))
    wall.at(1.01, lambda: session.disconnect(page.outbox))
    wall.at(6.03, reload)
    end = session.run()
    trace = read_trace(session.path)
    assert end.reason == "stopped"
    assert [tick for tick, _ in trace.events(LinkLost)] == [6]
    assert [(tick, e.away_s) for tick, e in trace.events(LinkResumed)] == [(31, 5.02)]
    assert isinstance(back[0].take()[0], Welcome)
    heard = np.rint(trace.audio(USER_AUDIO) * 32768).astype(np.int16)
    assert not heard[7 * SIZE : 31 * SIZE].any()
    assert np.array_equal(heard[31 * SIZE :][heard[31 * SIZE :] > 0], ramp(1.0))
    assert sum(e.samples for tick, e in trace.events(AudioLost) if 7 <= tick < 31) == 0
    page.send(Text(text="still here"))
    assert replay(trace).difference is None


def test_a_page_that_falls_silent_counts_as_gone_and_as_back_when_it_speaks_again(tmp_path: Path) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall())
    page.say(ramp(1.0))
    page.say(ramp(1.0), from_s=8.0)
    at(page, 10.0, Stop())
    end, trace = over(session, page)
    assert end.reason == "stopped"
    assert [tick for tick, _ in trace.events(LinkLost)] == [21]
    assert [(tick, e.away_s) for tick, e in trace.events(LinkResumed)] == [(41, pytest.approx(7.04))]
    heard = np.rint(trace.audio(USER_AUDIO) * 32768).astype(np.int16)
    assert np.array_equal(heard[heard > 0], np.tile(ramp(1.0), 2))


def test_more_typed_lines_than_can_wait_are_a_problem(tmp_path: Path) -> None:
    session, page = opened(SilentAgent(), tmp_path / "a.sqlite", Wall())
    for number in range(22):
        page.send(Text(text=str(number)))
    at(page, 6.0, Stop())
    _, trace = over(session, page)
    assert [t.text(USER_TEXT) for t in trace.turns][:21] == [*map(str, range(20)), ""]
    assert [p.code for p in page.of(Problem)] == ["full", "full"]


def test_a_page_that_does_not_come_back_ends_the_session_after_thirty_seconds_and_the_trace_opens(tmp_path: Path) -> None:
    wall = Wall()
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", wall)
    wall.at(2.0, lambda: session.disconnect(page.outbox))
    end = session.run()
    trace = read_trace(session.path)
    assert (end.reason, end.text) == ("left", "the page was gone for 30 s")
    assert trace.duration_s == pytest.approx(32.0, abs=0.6)
    late = again(page)
    assert late.of(End) == [end]


def test_the_old_page_of_a_resumed_session_gets_nothing_more_and_may_say_nothing(tmp_path: Path) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall())
    new = again(page)
    assert page.outbox.closed
    session.receive(page.outbox, Stop())
    assert [p.code for p in new.of(Problem)] == []
    stranger = Outbox()
    session.watch(stranger)
    session.receive(stranger, Stop())
    assert [m.code for m in stranger.take() if isinstance(m, Problem)] == ["gone"]
    at(new, 0.5, Stop())
    assert session.run().text == "stopped by the person who talked"


def test_a_page_whose_going_nobody_noticed_is_recorded_as_gone_when_it_comes_back(tmp_path: Path) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall())
    page.say(ramp(1.0))
    page.wall.at(2.5, lambda: at(again(page), 0.4, Stop()))
    session.run()
    trace = read_trace(session.path)
    assert [(tick, type(e)) for tick, e in trace.events(LinkLost, LinkResumed)] == [(13, LinkLost), (13, LinkResumed)]
    assert [e.away_s for _, e in trace.events(LinkResumed)] == [1.5]


def test_a_wrong_token_or_rate_is_refused(tmp_path: Path) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall())
    with pytest.raises(InputError, match="cannot be resumed with that token"):
        again(page, token="guessed")
    with pytest.raises(InputError, match="cannot be resumed with that token"):
        session.connect(HELLO, Outbox())
    with pytest.raises(InputError, match="runs at 44100 Hz; this session hears 16000 Hz"):
        session.connect(type(HELLO)(rate=44_100, client="x", settings={}, resume=None), Outbox())


def test_a_session_ends_at_its_minutes_and_at_its_bytes(tmp_path: Path) -> None:
    session, _ = opened(SilentAgent(), tmp_path / "a.sqlite", Wall(), spec=LiveSpec(minutes=0.1))
    end = session.run()
    assert (end.reason, len(read_trace(session.path))) == ("limit", 30)
    session, page = opened(SilentAgent(), tmp_path / "b.sqlite", Wall(), spec=LiveSpec(bytes=32_000))
    page.say(ramp(3.0))
    end = session.run()
    assert (end.reason, end.text) == ("limit", "a session takes 0.032 MB at most; begin a new one to go on")
    assert read_trace(session.path).duration_s == pytest.approx(1.2)


def test_a_rule_that_is_set_while_it_goes_on_holds_from_the_next_tick_and_is_told_to_a_page_that_comes_back(tmp_path: Path) -> None:
    counting = ScriptedAgent(((2, ("one",)), (8, ("two",)), (14, ("three",))))
    session, page = opened(counting, tmp_path / "a.sqlite", Wall())
    at(page, 1.1, Set(name="budget", value=0.0))
    at(page, 1.3, Set(name="barge-in", value=7.0))
    reloaded: list[Page] = []
    page.wall.at(2.0, lambda: reloaded.append(again(page)))
    page.wall.at(2.1, lambda: reloaded[0].send(Set(name="budget", value=120.0)))
    page.wall.at(4.0, lambda: reloaded[0].send(Stop()))
    session.run()
    trace = read_trace(session.path)
    assert [(event.name, event.value) for _, event in trace.events(SettingChanged)] == [("budget", 0.0), ("budget", 120.0)]
    assert [event.word for _, event in trace.events(TranscriptDelta)] == ["one", "three"]
    assert [problem.text for problem in page.of(Problem)] == ["barge-in cannot be 7; give a whole number from 0 to 2"]
    budgets = [{dial["name"]: dial["value"] for dial in each.of(Welcome)[0].dials}["budget"] for each in (page, reloaded[0])]
    assert budgets == [120.0, 0.0]
    assert replay(trace).difference is None


def test_a_page_is_told_the_rules_that_its_agent_was_given_and_quiet_times_go_by_the_clock_on_the_wall(tmp_path: Path) -> None:
    hour_s = int(time_of_day_s()) // 3600
    now = f"quiet={(hour_s - 1) % 24:02}:00-{(hour_s + 2) % 24:02}:00"
    agent = governed_by(ScriptedAgent(((2, ("one",)),)), ["barge-in=at_once", "max-overlap=1", "speak-over=watch+stop", now])
    session, page = opened(agent, tmp_path / "a.sqlite", Wall())
    at(page, 2.0, Stop())
    session.run()
    dials = {dial["name"]: dial for dial in page.of(Welcome)[0].dials}
    assert [dials[name]["value"] for name in ("barge-in", "max overlap", "speak over")] == [0.0, 1.0, 3.0]
    assert dials["speak over"]["choices"][3] == "with watch, stop"
    assert dials["quiet hours"]["given"] == now.removeprefix("quiet=").replace("-", " to ")
    trace = read_trace(session.path)
    assert list(trace.events(TranscriptDelta)) == []
    assert trace.header.participants["agent"]["policies"][3]["began_s"] is not None
    assert replay(trace).difference is None


def test_a_setting_the_agent_lacks_is_a_problem_and_the_session_goes_on(tmp_path: Path) -> None:
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall())
    at(page, 0.5, Set(name="threshold", value=0.7))
    at(page, 1.0, Stop())
    end, _ = over(session, page)
    assert end.reason == "stopped"
    [problem] = page.of(Problem)
    assert problem.text.startswith("'agent' (EchoAgent) has no threshold to change; a neural agent has a threshold, all have speak over, ")


def test_an_agent_that_fails_ends_the_session_with_a_trace_that_opens(tmp_path: Path) -> None:
    wall = Wall()

    class Failing(Slow):
        def step(self, state: object, tick: int, heard: object) -> object:  # type: ignore[override]
            if tick == 3:
                raise ZeroDivisionError
            return super().step(state, tick, heard)  # type: ignore[arg-type]

    session, page = opened(Failing(EchoAgent(), wall, {}), tmp_path / "a.sqlite", wall)
    with pytest.raises(ZeroDivisionError):
        session.run()
    assert [(e.reason, e.trace) for e in page.of(End)] == [("error", "a.sqlite")]
    assert len(read_trace(session.path)) == 3


def test_a_service_that_broke_off_ends_the_session_with_the_reason(tmp_path: Path) -> None:
    class Leaving(Slow):
        def step(self, state: object, tick: int, heard: object) -> object:  # type: ignore[override]
            if tick == 3:
                raise PeerError("the service broke off")
            return super().step(state, tick, heard)  # type: ignore[arg-type]

    wall = Wall()
    session, page = opened(Leaving(EchoAgent(), wall, {}), tmp_path / "a.sqlite", wall)
    end, trace = over(session, page)
    assert (end.reason, end.text, end.trace, len(trace)) == ("error", "the service broke off", "a.sqlite", 3)


def test_a_trace_that_cannot_be_written_ends_the_session_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"taken")
    session, page = opened(EchoAgent(), tmp_path / "a.sqlite", Wall())
    end = session.run()
    assert (end.reason, end.trace) == ("error", None)
    assert "a.sqlite exists; a trace is never overwritten" in end.text
    assert page.of(End) == [end]


def test_in_a_thread_of_its_own_a_session_takes_messages_from_another(tmp_path: Path) -> None:
    pace = RealTime(ClockSpec(), sleep=lambda seconds: None)  # as fast as it goes: never late, as time is stood still
    pace.now = lambda: 0.0
    woken = threading.Event()
    session = LiveSession(EchoAgent(), tmp_path / "a.sqlite", pace, name="one", token="t", spec=LiveSpec(minutes=0.5))
    outbox = Outbox(notify=woken.set)
    session.connect(HELLO, outbox)
    session.start()
    session.receive(outbox, Consent(given=True))
    session.receive(outbox, Audio(n=0, at=0.0, samples=ramp(0.2)))
    assert session.join(30)
    assert woken.is_set()
    assert outbox.wait(0)
    assert isinstance(outbox.take()[-1], End)
    assert not outbox.wait(0)


def test_an_outbox_wakes_whoever_waits() -> None:
    outbox = Outbox()
    threading.Timer(0.01, lambda: outbox.put(Problem(code="busy", text="x"))).start()
    assert outbox.wait(20)
    outbox.close()
    outbox.put(Problem(code="busy", text="y"))
    assert [m.text for m in outbox.take() if isinstance(m, Problem)] == ["x"]
