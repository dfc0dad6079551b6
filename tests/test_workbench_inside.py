"""Looking inside the agent: labels that are true, probes that find what is there and nothing else, and causes that are causes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.hooks import Capture
from model.probes import accuracy, fit_probe, r2
from tests.scenario_fakes import Tones, one_voice, play, play_family, script_of
from tests.test_workbench_neural import WATCHING, random_checkpoint, seeing_agent, talk
from workbench.background.notes import Note, lines
from workbench.errors import InputError
from workbench.events import Decision, TranscriptDelta, TruthWord
from workbench.inside import TARGETS, floor_state, last_heard_word, session_time, time_since_user, word_being_spoken
from workbench.neural import NeuralAgent, activations, attribute, load_agent, probe_layers
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, BACKGROUND_TEXT, USER_AUDIO, USER_CAMERA, Packet, only
from workbench.scenarios import build
from workbench.scenarios.script import AfterOwn, At, Beat, Order
from workbench.session import Said, Session
from workbench.trace import record
from workbench.users import ScriptedUser


@pytest.fixture(scope="module")
def agent() -> NeuralAgent:
    return NeuralAgent(random_checkpoint(), threshold=0.03)


def test_labels_say_what_held_when_the_cell_had_heard_the_turn_before():
    beat = Beat(("count to five",), At(0.5), (Order("count", 0.4, ("one", "two", "three"), 3), Order("yield", 1.4)))
    trace = play(script_of(beat, ending=AfterOwn(5.0)))
    clock, words = trace.header.clock, [word for _, word in trace.events(TruthWord)]
    own = [word for _, word in trace.events(TranscriptDelta) if word.side == "model"]
    assert session_time(trace)[7] == pytest.approx(1.4)
    heard, since, spoken, floor = last_heard_word(trace), time_since_user(trace), word_being_spoken(trace), floor_state(trace)
    for word, after in zip(words, [*words[1:], None], strict=True):
        tick = clock.first_tick_from(word.end_s)
        if after is None or after.end_s > clock.seconds(tick):
            assert heard[tick] == word.word
        assert heard[tick - 1] != word.word
    assert heard[0] is None
    assert since[clock.tick_at(words[0].start_s)] is None
    assert since[clock.first_tick_from(words[-1].end_s) + 5] == pytest.approx(
        clock.seconds(clock.first_tick_from(words[-1].end_s) + 5) - words[-1].end_s
    )
    assert spoken[clock.tick_at(own[0].start_s)] is None
    assert spoken[clock.tick_at(own[0].start_s) + 1] == "one"
    assert floor[0] == "idle"
    assert floor[clock.tick_at(words[0].start_s) + 1] == "listen"
    assert floor[clock.first_tick_from(words[-1].end_s) + 1] == "wait"
    assert floor[clock.tick_at(own[0].start_s) + 1] == "speak"
    assert floor[-1] == "idle"


def test_a_session_gone_through_again_gives_what_was_captured_in_it(agent):
    traces, captures = [], []
    for seed, ticks in ((1, 30), (2, 22)):
        captures.append(Capture(["layer.*.residual", "head.text"]))
        traces.append(talk(agent.watched_by(captures[-1]), seed, ticks)[1])
    again = activations(agent, traces, ["layer.*.residual", "head.text"])
    for capture, found, trace in zip(captures, again, traces, strict=True):
        assert list(found) == ["layer.0.residual", "layer.1.residual", "head.text"]
        for name, x in found.items():
            assert len(x) == len(trace)
            torch.testing.assert_close(x, capture[name], rtol=0, atol=2e-5)


def test_a_session_gone_through_again_is_seen_again():
    sighted = seeing_agent()
    session = Session.start([ScriptedUser(script_of(WATCHING), speaker_of=Tones), sighted])
    trace = record(session)
    session.run(20)
    dark = replace(trace, turns=[only(turn, {USER_AUDIO, AGENT_AUDIO, AGENT_TEXT}) for turn in trace.turns])
    with_light, without = activations(sighted, [trace], ("final",)), activations(sighted, [dark], ("final",))
    first = next(turn.tick for turn in trace.turns if turn.frames(USER_CAMERA) is not None)
    changed = (with_light[0]["final"] - without[0]["final"]).abs().amax(-1) > 1e-4
    assert not changed[: first + 1].any()
    assert changed[first + 1 : first + 8].all()
    assert attribute(sighted, trace, first + 6).tick == first + 6, "the same decision, which a blind one would not have made"


def test_a_probe_finds_what_is_there_and_nothing_in_noise():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 20, generator=generator)
    y = x @ torch.randn(20, 2, generator=generator) + 3
    probe = fit_probe(x[:400], y[:400])
    assert r2(probe(x[400:])[:, 0], y[400:, 0]) > 0.999
    classes = (x[:, 3] > 0).long()
    found = fit_probe(x[:400], torch.nn.functional.one_hot(classes[:400], 2))
    assert accuracy(found(x[400:]), classes[400:]) > 0.9
    blind = fit_probe(torch.randn(400, 20, generator=generator), torch.nn.functional.one_hot(classes[:400], 2))
    assert abs(accuracy(blind(x[400:]), classes[400:]) - 0.5) < 0.1
    assert accuracy(found(x[:3]), torch.tensor([-1, -1, -1])) == 0.0
    with pytest.raises(ValueError, match="cannot be fitted on 1 cells; give more conversations"):
        fit_probe(x[:1], y[:1])


def test_probes_are_fitted_and_scored_on_different_conversations_and_counted(agent):
    traces = [play_family("stop", seed) for seed in range(4)]
    parity = {"which conversation": lambda trace: ["even" if trace.header.seed % 2 == 0 else "odd"] * len(trace), "time": session_time}
    (named, clock) = (
        next(score for score in probe_layers(agent, traces, ["embed"], parity, test_share=0.5) if score.target == target)
        for target in parity
    )
    assert (named.num_train, named.num_test) == (len(traces[0]) + len(traces[1]), len(traces[2]) + len(traces[3]))
    assert (named.metric, named.num_classes, clock.metric, clock.num_classes) == ("accuracy", 2, "R2", 0)
    assert named.chance == pytest.approx(len(traces[2 + (len(traces[1]) > len(traces[0]))]) / named.num_test)
    assert clock.score > 0.02 > clock.chance  # the cell counter is part of what goes in
    with pytest.raises(InputError, match="1 conversations cannot be split"):
        probe_layers(agent, traces[:1])
    with pytest.raises(InputError, match="no cell has a 'nothing' on one side"):
        probe_layers(agent, traces, ["embed"], {"nothing": lambda trace: [None] * len(trace)})
    with pytest.raises(InputError, match=r"target 'short' has 1 labels for \d+ micro-turns; give one for each, or None"):
        probe_layers(agent, traces, ["embed"], {"short": lambda trace: ["a"]})


def test_taking_a_cell_away_is_deciding_in_a_session_without_its_sound(agent):
    _, trace = talk(agent, 1, 26)
    decisions = [d for _, d in trace.events(Decision)]
    tick = max(t for t, d in enumerate(decisions) if d.said)
    found = attribute(agent, trace, tick, span_ticks=8)
    assert found.act == decisions[tick].said.split()[0]
    assert found.probability == pytest.approx(dict(decisions[tick].top)[found.act], abs=1e-4)
    sounds = [i for i in found.influences if i.what == "sound"]
    assert [i.tick for i in sounds] == list(range(tick - 8, tick))
    for influence in sounds[::3]:
        turns = list(trace.turns)
        quiet = Packet(USER_AUDIO, turns[influence.tick].tick, np.zeros(3200, np.float32))
        others = tuple(p for p in turns[influence.tick].packets if p.stream != USER_AUDIO)
        turns[influence.tick] = replace(turns[influence.tick], packets=(*others, quiet))
        logits = activations(agent, [replace(trace, turns=turns)], ["head.text"])[0]["head.text"][tick]
        logits[[1, 3, *agent.sampling.unspoken]] = float("-inf")
        without = float(logits.log_softmax(-1)[agent.words.token_id(found.act)])
        assert influence.effect == pytest.approx(np.log(found.probability) - without, abs=1e-3)


def test_a_cell_of_silence_that_is_silenced_did_nothing(agent):
    _, trace = talk(agent, 1, 26)
    turns = [replace(turn, packets=tuple(p for p in turn.packets if p.stream != USER_AUDIO)) for turn in trace.turns]
    silent = replace(trace, turns=turns)
    p_speak = 1 - float(activations(agent, [silent], ["head.text"])[0]["head.text"][20].softmax(-1)[0])
    turns[20] = replace(turns[20], events=(replace(next(e for e in turns[20].events if isinstance(e, Decision)), p_speak=p_speak),))
    assert max(abs(i.effect) for i in attribute(agent, silent, 20).influences if i.what == "sound") < 1e-4


class Teller:
    """Hands a late result over in tick 9."""

    name, speaks, hears = "background", (BACKGROUND_TEXT,), ()

    def spec(self):
        return {"class": "Teller"}

    def start(self, clock, seed):
        return None

    def step(self, state, tick, heard):
        note = Note(task="1", what="result", text="twelve", about="look up anna")
        return Said((Packet(BACKGROUND_TEXT, tick, lines([note])),) if tick == 9 else ()), state


def test_a_decision_on_a_late_result_is_explained_with_the_words_that_it_may_say(agent):
    session = Session.start([ScriptedUser(build("stop", 1, pick=one_voice), speaker_of=Tones), agent, Teller()], seed=1)
    trace = record(session)
    session.run(12)
    decision = dict(trace.events(Decision))[10]
    found = attribute(agent, trace, 10, span_ticks=4)
    assert found.probability == pytest.approx(dict(decision.top)[found.act], abs=1e-4)
    assert agent.sampling_after([agent.words.token_id("look")]) != agent.sampling


def test_decisions_of_another_agent_and_ticks_outside_are_refused(agent):
    _, trace = talk(agent, 1, 12)
    assert attribute(agent, trace, 0).influences == ()
    with pytest.raises(InputError, match="tick 12 is outside this session; it has ticks 0 to 11"):
        attribute(agent, trace, 12)
    other = NeuralAgent(random_checkpoint(5))
    with torch.no_grad():
        other.model.text_head.bias[0] += 5
    with pytest.raises(
        InputError, match=r"the trace has p\(speak\) 0\.\d+ at tick 5, this agent p\(speak\) .*give the agent that was in the session"
    ):
        attribute(other, trace, 5)


@pytest.fixture(scope="module")
def stopped(checkpoint):
    agent = load_agent(checkpoint)
    script = build("stop", seed=3, voices="unseen")
    session = Session.start([ScriptedUser(script), agent], seed=3)
    trace = record(session)
    session.run(script.max_ticks)
    return agent, trace


@pytest.mark.checkpoint
def test_the_shipped_model_gave_way_because_of_the_sound_of_stop(stopped):
    agent, trace = stopped
    tick = next(tick for tick, d in trace.events(Decision) if "<yield>" in d.said)
    begun_s = next(word.start_s for _, word in trace.events(TranscriptDelta) if word.side == "model")
    interruption = [word for _, word in trace.events(TruthWord) if word.start_s > begun_s]
    assert interruption[-1].word == "stop"
    found = attribute(agent, trace, tick)
    assert found.act == "<yield>"
    strongest = found.strongest(1)[0]
    assert strongest.start_s < interruption[-1].end_s + 0.1
    assert strongest.end_s > interruption[0].start_s
    assert strongest.effect > 0


def test_every_target_labels_every_cell():
    trace = play_family("stop", 3)
    for name, label in TARGETS.items():
        assert len(label(trace)) == len(trace), name
