"""What is older than it may be kept is gone from the files, of everybody or of one person, and what is left still verifies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.live_fakes import HELLO
from tests.sample_session import stopped_count
from tests.test_workbench_cli import microturn
from tests.test_workbench_cli_errors import refused
from workbench.agents import EchoAgent
from workbench.desk import Desk, Models
from workbench.errors import InputError
from workbench.events import PayloadErased, TranscriptDelta, TruthWord
from workbench.live.protocol import Consent, Stop, encode
from workbench.packets import AGENT_TEXT, USER_AUDIO
from workbench.retention import PERSON, Swept, is_of, person_of, rule_of, sweep
from workbench.store import Erasure, Keep, TraceWriter, erase, read_features, read_trace, verify

NOW = "2026-03-31T12:00:00Z"


def kept(path: Path, created: str, name: str = "", keep: dict[str, Keep] | None = None) -> Path:
    """A session of that time, in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    trace = stopped_count()
    labels = {**trace.header.labels, **({PERSON: person_of(name)} if name else {})}
    header = replace(trace.header, created=created, labels=labels)
    with TraceWriter(path, header, keep=keep or {}) as writer:
        for turn in trace.turns:
            writer.append(turn)
    return path


def swept(folder: Path, *rules: str, **more: object) -> list[Swept]:
    return list(sweep(folder, [rule_of(rule) for rule in rules], now=NOW, **more))  # type: ignore[arg-type]


def test_an_old_stream_is_erased_a_young_one_stays_and_nothing_is_erased_twice(tmp_path: Path) -> None:
    old, young = kept(tmp_path / "old.sqlite", "2026-02-01T00:00:00Z"), kept(tmp_path / "young.sqlite", "2026-03-20T00:00:00Z")
    [told] = swept(tmp_path, "user.audio=30d", only_tell=True)
    assert (told.name, told.what, told.count) == ("old.sqlite", USER_AUDIO, 0)
    assert read_trace(old).audio(USER_AUDIO).any()
    [done] = swept(tmp_path, "user.audio=30d")
    assert done.count > 0
    assert not read_trace(old).audio(USER_AUDIO).any()
    assert any(turn.text(AGENT_TEXT) for turn in read_trace(old).turns)
    [(_, event)] = read_trace(old).events(PayloadErased)
    assert (event.stream, event.who, event.why) == (USER_AUDIO, "retention", "older than 30d")
    assert read_trace(young).audio(USER_AUDIO).any()
    assert verify(old).ok
    assert swept(tmp_path, "user.audio=30d") == []


def test_features_go_as_sound_does(tmp_path: Path) -> None:
    path = kept(tmp_path / "a.sqlite", "2026-01-01T00:00:00Z", keep={USER_AUDIO: Keep("features")})
    assert read_features(path, USER_AUDIO)
    assert [done.what for done in swept(tmp_path, "user.audio=1h")] == [USER_AUDIO]
    assert read_features(path, USER_AUDIO) == []


def test_words_go_also_where_no_sound_was_kept_or_only_the_sound_was_erased(tmp_path: Path) -> None:
    silent = kept(tmp_path / "silent.sqlite", "2026-01-01T00:00:00Z", keep={USER_AUDIO: Keep("none")})
    erased = kept(tmp_path / "erased.sqlite", "2026-01-01T00:00:00Z")
    erase(erased, Erasure(stream=USER_AUDIO, from_tick=0, to_tick=39, who="Ada", why="asked", words=False))
    assert [done.name for done in swept(tmp_path, "user.audio=1h", only_tell=True)] == ["erased.sqlite", "silent.sqlite"]
    assert [done.count for done in swept(tmp_path, "user.audio=1h")] == [9, 9]  # four words, heard and true, and the reason of a yield
    for path in (silent, erased):
        assert {event.side for _, event in read_trace(path).events(TranscriptDelta)} == {"model"}
        assert list(read_trace(path).events(TruthWord)) == []
        assert verify(path).ok
    assert swept(tmp_path, "user.audio=1h") == []


def test_a_misspelt_stream_is_refused_and_one_that_is_merely_absent_is_not(tmp_path: Path) -> None:
    assert swept(tmp_path, "user.adio=1h") == []  # no trace, and nothing to tell by
    path = kept(tmp_path / "a.sqlite", "2026-01-01T00:00:00Z", "ann")
    (tmp_path / "broken.sqlite").write_bytes(b"no trace")
    for more in ({}, {"person": "ben"}, {"only_tell": True}):
        with pytest.raises(InputError) as refusal:
            swept(tmp_path, "user.audio=1h", "user.adio=1h", **more)
        told = "'user.adio=1h': no trace here has a stream 'user.adio'; there are agent.audio, agent.text, user.audio"
        assert str(refusal.value) == told
    assert read_trace(path).audio(USER_AUDIO).any(), "nothing goes where one of the rules is refused"
    assert [done.what for done in swept(tmp_path, "user.camera=1h") if not done.problem] == []


def test_a_whole_session_goes_with_what_its_run_wrote_and_with_nothing_else(tmp_path: Path) -> None:
    path = kept(tmp_path / "run" / "trace.sqlite", "2026-01-01T00:00:00Z")
    for name in ("input.wav", "timeline.html", "notes.txt"):
        path.with_name(name).write_text("x")
    [done] = swept(tmp_path, "all=60d", "user.audio=30d")
    assert str(done) == "run/trace.sqlite: the session, and trace.sqlite, input.wav, timeline.html"
    assert [file.name for file in path.parent.iterdir()] == ["notes.txt"]


def test_what_a_run_wrote_goes_also_where_the_trace_was_erased_before(tmp_path: Path) -> None:
    path = kept(tmp_path / "run" / "trace.sqlite", "2026-01-01T00:00:00Z")
    path.with_name("input.wav").write_text("x")
    erase(path, Erasure(stream=USER_AUDIO, from_tick=0, to_tick=39, who="Ada", why="asked"))
    [told] = swept(tmp_path, "user.audio=30d", only_tell=True)
    assert told.files == ("input.wav",)
    assert path.with_name("input.wav").exists()
    [done] = swept(tmp_path, "user.audio=30d")
    assert str(done) == "run/trace.sqlite: user.audio, and input.wav"
    assert [file.name for file in path.parent.iterdir()] == ["trace.sqlite"]
    path.with_name("input.wav").write_text("exported anew from what is left")
    assert swept(tmp_path, "user.audio=30d") == []


def test_a_stream_that_the_run_wrote_of_goes_with_what_it_wrote(tmp_path: Path) -> None:
    path = kept(tmp_path / "run" / "trace.sqlite", "2026-01-01T00:00:00Z")
    path.with_name("input.wav").write_text("x")
    [done] = swept(tmp_path, "user.audio=30d")
    assert (done.count > 0, done.files) == (True, ("input.wav",))


def test_a_sweep_of_one_person_leaves_those_of_others(tmp_path: Path) -> None:
    for name in ("ann", "ben"):
        kept(tmp_path / f"{name}.sqlite", "2026-03-31T11:00:00Z", name)
    kept(tmp_path / "nobody.sqlite", "2026-03-31T11:00:00Z")
    assert [done.name for done in swept(tmp_path, "all=0d", person="ann")] == ["ann.sqlite"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ben.sqlite", "nobody.sqlite"]


def test_a_live_session_is_marked_as_its_visitors_without_their_name(tmp_path: Path) -> None:
    desk = Desk(tmp_path, Models(names=("echo",), make=lambda name, threshold: EchoAgent()))
    connection = desk.host().open("ann@example.org")
    connection.feed(*encode(HELLO))
    connection.feed(*encode(Consent(given=True)))
    session = connection.session
    assert session is not None
    connection.feed(*encode(Stop()))
    assert session.join(30)
    desk.close()
    [path] = tmp_path.glob("*.sqlite")
    mark = read_trace(path).header.labels[PERSON]
    assert is_of(mark, "ann@example.org")
    assert not is_of(mark, "bob@example.org")
    assert mark != person_of("ann@example.org"), "two sessions of one person must not be told to be theirs without the name"
    assert b"ann@example.org" not in path.read_bytes()


@pytest.mark.parametrize("mark", [None, 7, "", "ann", "00:11", "zz" * 8 + ":" + "0" * 32])
def test_what_is_no_mark_is_nobodys(mark: object) -> None:
    assert not is_of(mark, "ann@example.org")


def test_what_goes_on_or_cannot_be_read_is_left_and_told(tmp_path: Path) -> None:
    trace = stopped_count()
    writer = TraceWriter(tmp_path / "open.sqlite", replace(trace.header, created="2026-01-01T00:00:00Z"))
    writer.append(trace.turns[0])
    (tmp_path / "broken.sqlite").write_bytes(b"no trace")
    now = f"{2200}-01-01T00:00:00Z"
    told = {done.name: done.problem for done in swept(tmp_path, "all=1d")}
    assert told["open.sqlite"] == "it is not closed, and was written to within a day"
    assert "broken.sqlite" in told["broken.sqlite"]
    writer.close()
    assert [done.name for done in sweep(tmp_path, [rule_of("all=1d")], now=now) if not done.problem] == ["open.sqlite"]


@pytest.mark.parametrize("text", ["user.audio", "user.audio=30", "=30d", "all=soon", "all=-1d", "all=1.2.3d", "all=²d", "all=.d"])
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no rule of retention; give STREAM=AGE or all=AGE"):
        rule_of(text)


def test_the_command_tells_and_sweeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tmp_path / "old.sqlite", "2020-01-01T00:00:00Z")
    assert microturn("sweep", tmp_path, "--keep", "user.audio=30d", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 would go"
    assert microturn("sweep", tmp_path, "--keep", "user.audio=30d") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 gone"
    assert "no trace here has a stream 'user.adio'" in refused(capsys, "sweep", tmp_path, "--keep", "user.adio=30d")
    assert "is no folder" in refused(capsys, "sweep", tmp_path / "no", "--keep", "all=1d")
