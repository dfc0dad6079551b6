"""The door to the model: traces become cells without a shift, and a checkpoint becomes a participant that keeps the rules."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint, fresh_model, save_checkpoint
from model.config import DenseConfig, VisionConfig
from model.flow import HeadConfig
from model.layout import NO_TOKEN, YIELD
from model.sampling import first_probabilities
from tests.model_fakes import tiny_config
from tests.scenario_fakes import Tones, one_voice, play, script_of
from tests.voice_fakes import TINY_FLOW, tiny_voice
from workbench.agents import Mouth
from workbench.asking import parted, written
from workbench.check import check_participant
from workbench.clock import ClockSpec, Tick
from workbench.compare import first_difference
from workbench.costs import spent_in
from workbench.errors import CheckpointError, InputError
from workbench.events import Decision, ModelSpeechStopped, ModelYielded, TickCost, TranscriptDelta, TruthWord
from workbench.events_background import DelegationRequested
from workbench.frames import Lamp
from workbench.neural import (
    HEARD_DELAY_S,
    NeuralAgent,
    cells_of,
    conversation,
    load_agent,
    load_recipe,
    packed,
    sized,
    through_a_lens,
    unpacked,
    vocabulary,
)
from workbench.neural.own_voice import OwnVoice
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_CAMERA, MicroTurn
from workbench.scenarios import SEEING_WEIGHTS, build
from workbench.scenarios.script import AfterOwn, At, Beat, Order, View
from workbench.session import Session, advance
from workbench.trace import record
from workbench.users import ScriptedUser, SilentUser


def random_checkpoint(seed: int = 0) -> Checkpoint:
    words = vocabulary()
    config = replace(tiny_config(DenseConfig(hidden=48)), vocab_size=len(words.tokens), hear_vocab_size=len(words.heard))
    return Checkpoint(fresh_model(config, seed).eval(), words, {})


@pytest.fixture(scope="module")
def agent() -> NeuralAgent:
    """A model that knows nothing but talks a lot: it speaks whenever silence has less than 97 in 100."""
    return NeuralAgent(random_checkpoint(), threshold=0.03)


def talk(agent: NeuralAgent, seed: int, ticks: int = 40):
    script = build("stop", seed, pick=one_voice)
    session = Session.start([ScriptedUser(script, speaker_of=Tones), agent], seed=seed)
    trace = record(session)
    session.run(ticks)
    return session, trace


def test_cells_hold_what_was_heard_one_tick_later_and_what_was_said_now():
    beat = Beat(("count to five",), At(0.5), (Order("count", 0.4, ("one", "two", "three"), 3), Order("yield", 1.4)))
    trace = play(script_of(beat, ending=AfterOwn(3.0)))
    words = vocabulary()
    cells = cells_of(trace, words)
    assert len(cells) == len(trace)
    spoken = [event for _, event in trace.events(TruthWord)]
    heard = {(t, h): words.heard[cells.heard[t, h]] for t, h in np.argwhere(cells.heard)}
    assert [heard[key] for key in sorted(heard)] == ["count", "to", "five"]
    for event, (cell, half) in zip(spoken, sorted(heard), strict=True):
        begins_s = (cell - 1) * 0.2 + half * 0.1
        assert begins_s <= event.end_s + HEARD_DELAY_S < begins_s + 0.1 + 1e-6, (event, cell, half)
    loud = cells.user_mel.max((1, 2)) > -2
    first = int(np.flatnonzero(loud)[0])
    assert first == int(spoken[0].start_s / 0.2) + 1
    assert np.array_equal(np.flatnonzero(cells.active)[[0, -1]], [first, int((spoken[-1].end_s - 1e-6) / 0.2) + 1])
    for turn, row, own in zip(trace.turns[:-1], cells.out, cells.own_present[1:], strict=False):
        said = [words.tokens[t] for t in row if t not in (NO_TOKEN, YIELD)]
        assert said == turn.text(AGENT_TEXT).split()
        assert (YIELD in row) == any(isinstance(e, ModelYielded) for e in turn.events)
        assert own == bool(np.abs(turn.audio("agent.audio", 3200)).max() > 1e-4)
    assert YIELD in cells.out


def test_cells_know_their_family():
    script = script_of(
        Beat(("count to five",), At(0.5), family="long_count"),
        Beat(("what is two plus two",), At(5.0), family="answer"),
        Beat(("please",), AfterOwn(0.5), family="answer"),
        ending=AfterOwn(2.0),
    )
    cells = cells_of(play(script), vocabulary(), families=("answer", "long_count"))
    assert cells.family[:3].tolist() == [0, 0, 0]  # the first sound, of turn 2, is taken in by cell 3
    assert set(cells.family[3:26].tolist()) == {2}
    assert set(cells.family[26:].tolist()) == {1}
    assert not cells_of(play(script), vocabulary(), families=("timer",)).family.any()


WATCHING = Beat(("tell me",), At(0.3), view=View(Lamp(lights=((0.0, "green"), (0.5, "red"))), 1.5), holds_s=2.0)


def seeing_agent() -> NeuralAgent:
    checkpoint = random_checkpoint()
    eyes = replace(checkpoint.model.config, vision=VisionConfig(patch=16, num_layers=2))
    return NeuralAgent(Checkpoint(fresh_model(eyes, 0).eval(), checkpoint.vocabulary, {}), threshold=0.03)


def test_cells_hold_what_the_camera_saw_one_tick_later_and_survive_packing():
    trace = play(script_of(WATCHING))
    cells = cells_of(trace, vocabulary())
    shown = {turn.tick: turn.frames(USER_CAMERA) for turn in trace.turns if turn.frames(USER_CAMERA) is not None}
    assert cells.picture_cell.tolist() == [tick + 1 for tick in shown]
    assert np.array_equal(cells.pictures, np.stack(list(shown.values())))
    row = packed(cells)
    assert row["pictures"].nbytes < cells.pictures.nbytes / 20, "a clean picture that stands still takes little room"
    again = unpacked(row)
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(cells).items())
    blurred = through_a_lens(cells, np.random.default_rng(1))
    assert not np.array_equal(blurred.pictures, cells.pictures)
    assert np.array_equal(blurred.out, cells.out)
    blind = cells_of(play(script_of(Beat(("tell me",), At(0.3)))), vocabulary())
    assert len(unpacked(packed(blind)).pictures) == 0
    assert through_a_lens(blind, np.random.default_rng(1)) is blind


def test_an_agent_with_eyes_sees_what_one_without_is_blind_to():
    def decided(agent, beat):
        session = Session.start([ScriptedUser(script_of(beat), speaker_of=Tones), agent])
        trace = record(session)
        session.run(25)
        return [event.p_speak for _, event in trace.events(Decision)]

    dark = replace(WATCHING, view=None)
    blind, sighted = NeuralAgent(random_checkpoint(), threshold=0.03), seeing_agent()
    assert USER_CAMERA in sighted.hears
    assert USER_CAMERA not in blind.hears
    assert decided(blind, WATCHING) == decided(blind, dark)
    with_light, without = decided(sighted, WATCHING), decided(sighted, dark)
    assert with_light[:2] == without[:2]
    assert with_light[2:] != without[2:]
    assert check_participant(sighted, ticks=10).problems == (), "it takes pictures of any size"


def test_sessions_with_and_without_a_camera_go_together():
    agent = seeing_agent()
    beats = (WATCHING, replace(WATCHING, view=None))
    sessions = [Session.start([ScriptedUser(script_of(beat), speaker_of=Tones), agent]) for beat in beats]
    traces = [record(session) for session in sessions]
    for _ in range(16):
        advance(sessions)
    for beat, trace in zip(beats, traces, strict=True):
        session = Session.start([ScriptedUser(script_of(beat), speaker_of=Tones), agent])
        alone = record(session)
        session.run(16)
        for (_, mine), (_, own) in zip(trace.events(Decision), alone.events(Decision), strict=True):
            assert mine.p_speak == pytest.approx(own.p_speak, abs=1e-5)


def test_the_words_of_the_shipped_checkpoint_are_the_first_of_a_larger_world(checkpoint):
    shipped, words = load_agent(checkpoint).words, vocabulary()
    assert words.agent_words[: len(shipped.agent_words)] == shipped.agent_words
    assert words.user_words[: len(shipped.user_words)] == shipped.user_words


def test_a_conversation_with_the_seeing_families_has_pictures_without_the_faults_of_a_lens():
    row = unpacked(conversation(3, "espeak", (), {"tell_when": 1.0, "answer": 1.0}))
    assert len(row.pictures)
    same = [np.array_equal(one, two) for one, two in zip(row.pictures[:-1], row.pictures[1:], strict=True)]
    assert np.mean(same) > 0.2, "a lamp that does not change gives the same picture"
    seeing = load_recipe("nano")
    heard_only = {name: weight for name, weight in seeing.pool.families.items() if name not in SEEING_WEIGHTS}
    assert sized(seeing).vision is not None
    assert sized(replace(seeing, pool=replace(seeing.pool, families=heard_only))).vision is None


def test_every_tick_carries_a_decision_and_its_cost(agent):
    _, trace = talk(agent, 1)
    decisions = [event for _, event in trace.events(Decision)]
    assert len(decisions) == len(trace.turns) == sum(1 for _ in trace.events(TickCost))
    for turn, decision in zip(trace.turns, decisions, strict=True):
        spoken, requests = parted(decision.said.replace("<yield>", "").split())
        assert spoken == turn.text(AGENT_TEXT).split()
        assert requests == [written(event) for event in turn.events if isinstance(event, DelegationRequested)]
        assert decision.threshold == 0.03
        assert (decision.p_speak >= 0.03) == bool(decision.said)
        assert abs(sum(p for _, p in decision.top)) <= 1 + 1e-5
        assert decision.floor in {"idle", "listen", "speak", "wait", "dual"}
    assert any(d.said for d in decisions)


def test_a_gate_tells_when_the_threshold_changed_the_outcome():
    checkpoint = random_checkpoint(2)
    with torch.no_grad():
        checkpoint.model.text_head.bias[0] = 3.0  # silence is likeliest, words are possible
    eager = NeuralAgent(checkpoint, threshold=0.01)
    _, trace = talk(eager, 1, 10)
    gates = [gate for _, d in trace.events(Decision) for gate in d.gates if d.said]
    assert gates
    assert all(g.name == "threshold" and g.wanted == "<silence>" and ">= threshold 0.01" in g.reason for g in gates)
    never = eager.with_threshold(1.0)
    _, quiet = talk(never, 1, 10)
    assert not any(d.said for _, d in quiet.events(Decision))


def test_the_agent_keeps_the_rules_of_a_participant(agent):
    assert check_participant(agent, ticks=15).problems == ()


def test_many_sessions_at_once_say_what_each_says_alone(agent):
    together = []
    for seed in range(3):
        script = build("stop", seed, pick=one_voice)
        session = Session.start([ScriptedUser(script, speaker_of=Tones), agent], seed=seed)
        together.append((session, record(session)))
    for tick in range(30):
        chosen = together if tick % 7 else together[:2]  # a session may sit out a tick and come back
        advance([session for session, _ in chosen])
    for seed, (_, trace) in enumerate(together):
        _, alone = talk(agent, seed, len(trace))
        for mine, own in zip(trace.turns, alone.turns, strict=True):
            assert mine.text(AGENT_TEXT) == own.text(AGENT_TEXT)
            (a,), (b,) = ([e for e in t.events if isinstance(e, Decision)] for t in (mine, own))
            assert a.p_speak == pytest.approx(b.p_speak, abs=1e-5)
        mine, own = ([event.positions for _, event in each.events(TickCost)] for each in (trace, alone))
        assert mine == own
        assert all(before < after for before, after in pairwise(mine))
    assert len({spent_in(trace).positions for _, trace in together}) > 1  # they differ by what each said, and by how long each was


def test_words_of_requests_are_said_only_when_they_were_just_handed_over(agent):
    look, anna, ben, twelve = (agent.words.token_id(word) for word in ("look", "anna", "ben", "twelve"))
    assert {look, anna, ben} <= set(agent.sampling.unspoken)
    assert agent.sampling_after([]) is agent.sampling is agent.sampling_after([twelve])
    told = agent.sampling_after([agent.words.token_id("<open>"), look, anna, twelve])
    assert set(agent.sampling.unspoken) - set(told.unspoken) == {look, anna}
    p_BV = first_probabilities(torch.zeros(2, len(agent.words.tokens)), [agent.sampling.unspoken, told.unspoken])
    assert (p_BV[:, [anna, ben]] > 0).tolist() == [[False, False], [True, False]]


def test_a_fork_goes_on_as_the_original_does(agent):
    session, trace = talk(agent, 3, 20)
    fork = session.fork()
    copy = record(fork)
    session.run(15)
    fork.run(15)
    rest = replace(trace, turns=trace.turns[20:])
    assert first_difference(rest, copy) is None


def test_a_state_that_was_stepped_on_from_is_refused(agent):
    clock = ClockSpec()
    state = agent.start(clock, 0)
    silence = MicroTurn(Tick(-1))
    agent.step(state, Tick(0), silence)
    with pytest.raises(InputError, match=r"clone\(\) a state before stepping"):
        agent.step(state, Tick(0), silence)


def test_a_clock_the_model_was_not_made_for_is_refused(agent):
    with pytest.raises(InputError, match=r"ticks of 3200 samples, the session's have 1600; use tick_ms=200"):
        Session.start([SilentUser(), agent], clock=ClockSpec(tick_ms=100))


def test_missing_damaged_and_foreign_checkpoints_are_told_apart(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*none.safetensors; give --checkpoint FILE"):
        load_agent(tmp_path / "none.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"not a checkpoint at all")
    (folder := tmp_path / "run").mkdir()
    (folder / "tiny.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"run is a folder; give the .safetensors file in it \(tiny.safetensors\)"):
        load_agent(folder)
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        load_agent(tmp_path / "broken.safetensors")
    checkpoint = random_checkpoint()
    monkeypatch.setattr("model.checkpoint.LAYOUT_VERSION", "cells-0")
    save_checkpoint(tmp_path / "old.safetensors", checkpoint.model, checkpoint.vocabulary, {})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="cells-0"):
        load_agent(tmp_path / "old.safetensors")
    save_checkpoint(tmp_path / "new.safetensors", checkpoint.model, checkpoint.vocabulary, {})
    with pytest.raises(InputError, match=r"threshold=2.0"):
        load_agent(tmp_path / "new.safetensors", threshold=2.0)


def test_the_same_word_in_two_half_cells_running_is_one_word():
    checkpoint = random_checkpoint()
    number = checkpoint.vocabulary.heard_id("stop")
    with torch.no_grad():
        checkpoint.model.hear_head.bias.view(2, -1)[:, number] = 50.0  # hears "stop" in every half cell
    _, trace = talk(NeuralAgent(checkpoint), 1, 6)
    assert [e.word for _, e in trace.events(TranscriptDelta) if e.side == "user"] == ["stop"]
    with torch.no_grad():
        checkpoint.model.hear_head.bias.view(2, -1)[1, number] = -50.0  # and now in every first half only
    _, trace = talk(NeuralAgent(checkpoint), 1, 6)
    assert [e.word for _, e in trace.events(TranscriptDelta) if e.side == "user" and e.word == "stop"] == ["stop"] * 6


def own_voiced(seed: int = 0, head: HeadConfig | None = None, cell_width: int = 0) -> Checkpoint:
    checkpoint = random_checkpoint(seed)
    return replace(checkpoint, voice=tiny_voice(checkpoint.vocabulary.agent_words, head, cell_width))


@pytest.fixture(scope="module")
def own_agent() -> NeuralAgent:
    return NeuralAgent(own_voiced(), threshold=0.03)


def test_a_checkpoint_with_a_voice_speaks_with_it_and_hears_itself(own_agent):
    _, trace = talk(own_agent, 1)
    assert isinstance(own_agent.mouth.out, OwnVoice)
    sound = trace.audio(AGENT_AUDIO)
    began = [e for _, e in trace.events(TranscriptDelta) if e.side == "model"]
    assert began
    for event in began:
        assert event.end_s - event.start_s == pytest.approx(29 * 0.0125)
        at = round(event.start_s * 16_000)
        assert np.abs(sound[at : at + 400]).max() > 0
    cells = cells_of(trace, own_agent.words)
    for turn, own in zip(trace.turns[:-1], cells.own_present[1:], strict=True):
        assert own == bool(np.abs(turn.audio(AGENT_AUDIO, 3200)).max() > 1e-4)
    quiet = NeuralAgent(random_checkpoint(), threshold=0.03)
    assert not isinstance(quiet.mouth.out, OwnVoice)
    _, other = talk(quiet, 1)
    assert not np.array_equal(sound, other.audio(AGENT_AUDIO))


@pytest.mark.parametrize("head", [None, TINY_FLOW], ids=["regression", "flow"])
def test_an_agent_with_its_own_voice_keeps_the_rules_and_forks_alike(head):
    agent = NeuralAgent(own_voiced(head=head), threshold=0.03)
    assert check_participant(agent, ticks=12).problems == ()
    session, trace = talk(agent, 3, 12)
    fork = session.fork()
    copy = record(fork)
    session.run(8)
    fork.run(8)
    assert first_difference(replace(trace, turns=trace.turns[12:]), copy) is None


def test_its_own_voice_stops_within_the_cell_of_a_yield():
    mouth = Mouth(OwnVoice(tiny_voice(["one", "two"])))
    clock = ClockSpec()
    _, _, state = mouth.act(mouth.start(), clock, Tick(0), ["one", "two"])
    packets, events, state = mouth.act(state, clock, Tick(1), yield_=True)
    (sound,) = (packet.payload for packet in packets)
    assert np.abs(sound[:200]).max() > 0
    assert not sound[200:].any()
    assert [(e.unsaid, e.at_s) for e in events if isinstance(e, ModelYielded)] == [("one two", 0.2)]
    assert [e.at_s for e in events if isinstance(e, ModelSpeechStopped)] == [pytest.approx(0.2125)]
    assert not state.speech.speaking
    assert mouth.act(state, clock, Tick(2))[0] == ()


def test_the_voice_speaks_from_the_state_of_the_cell_where_it_listens_to_it():
    checkpoint = own_voiced(cell_width=32)
    torch.nn.init.normal_(checkpoint.voice.speech.cell.weight)
    moved = NeuralAgent(checkpoint, threshold=0.03)
    deaf = NeuralAgent(own_voiced(), threshold=0.03)
    (_, one), (_, two) = talk(moved, 1, 12), talk(deaf, 1, 12)
    assert one.audio(AGENT_AUDIO).any()
    assert not np.array_equal(one.audio(AGENT_AUDIO), two.audio(AGENT_AUDIO))


def test_a_voice_that_lacks_a_word_of_the_model_is_refused(tmp_path):
    checkpoint = random_checkpoint()
    *known, one, other = checkpoint.vocabulary.agent_words
    voice = tiny_voice(known)
    save_checkpoint(tmp_path / "short.safetensors", checkpoint.model, checkpoint.vocabulary, {}, voice)
    with pytest.raises(InputError, match=f"cannot say {one}, {other}; train it again with `microturn train --part voice`"):
        load_agent(tmp_path / "short.safetensors")
    with pytest.raises(InputError, match=r"100 samples are not a whole number of frames of 200"):
        OwnVoice(voice).pull(OwnVoice(voice).start(0), 100)
