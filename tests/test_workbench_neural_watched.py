"""A watched agent in a session: its activations lie beside the trace, and nobody else's agent notices."""

from __future__ import annotations

import pytest
import torch

from model.hooks import Capture, Intervention, hook_points, zero
from tests.test_workbench_neural import random_checkpoint, talk
from workbench.errors import TraceError
from workbench.events import Decision
from workbench.neural import NeuralAgent
from workbench.replay import rebuild


@pytest.fixture(scope="module")
def agent() -> NeuralAgent:
    return NeuralAgent(random_checkpoint(), threshold=0.03)


def test_a_session_gives_activations_by_tick_beside_its_trace(agent):
    capture = Capture(["*"])
    _, trace = talk(agent.watched_by(capture), 1, 30)
    _, plain = talk(agent, 1, 30)
    assert capture.ticks() == [turn.tick for turn in trace.turns]
    decisions = [d for _, d in trace.events(Decision)]
    assert [d.said for d in decisions] == [d.said for _, d in plain.events(Decision)]
    assert any(d.said for d in decisions)
    logits = capture["head.text"]
    logits[:, [1, 3, *agent.sampling.unspoken]] = float("-inf")  # the end, the blank and words of a request are never first
    torch.testing.assert_close(1 - logits.softmax(-1)[:, 0], torch.tensor([d.p_speak for d in decisions]), rtol=0, atol=1e-5)
    torch.testing.assert_close(capture["head.active"].sigmoid(), torch.tensor([d.p_user_speaking for d in decisions]), rtol=0, atol=1e-5)
    for tick, decision in enumerate(decisions):
        outs = [place for place in capture.cell("embed", tick)[0] if place.kind.name == "OUT"]
        assert len(outs) == len(decision.said.split())


def test_the_watched_agent_leaves_the_other_alone(agent):
    silenced = agent.watched_by(Intervention(zero, ["embed"]))
    assert silenced.model is agent.model
    _, before = talk(agent, 2, 10)
    _, changed = talk(silenced, 2, 10)
    _, after = talk(agent, 2, 10)
    p_before, p_changed, p_after = ([d.p_speak for _, d in t.events(Decision)] for t in (before, changed, after))
    assert p_before == p_after != p_changed
    assert agent.model.watching == {}


def test_watchers_stay_when_the_threshold_changes(agent):
    capture = Capture(["final"])
    _, trace = talk(agent.watched_by(capture).with_threshold(0.9), 1, 5)
    assert capture["final"].shape == (5, agent.model.config.trunk.width)
    assert trace.header.participants["agent"] == {"kind": "nano", "checkpoint": "", "threshold": 0.9}


def test_a_trace_says_that_its_agent_was_changed_and_is_not_replayed_without_it(agent):
    changed = agent.watched_by(Intervention(zero, ["layer.0.ffn"], ticks=range(3, 6)))
    _, trace = talk(changed, 1, 8)
    assert trace.header.participants["agent"]["changed"] == ["layer.0.ffn (ticks 3 to 5)"]
    with pytest.raises(TraceError, match=r"changed from inside at layer.0.ffn \(ticks 3 to 5\); give agent= with the same interventions"):
        rebuild(trace)
    assert rebuild(trace, agent=changed).participants[1] is changed


def test_every_session_of_a_batch_is_changed_and_a_capture_refuses_them(agent):
    from tests.scenario_fakes import Tones, one_voice
    from workbench.scenarios import build
    from workbench.session import Session, advance
    from workbench.trace import record
    from workbench.users import ScriptedUser

    def together(participant: NeuralAgent):
        scripts = [build("stop", seed, pick=one_voice) for seed in (1, 2)]
        sessions = [Session.start([ScriptedUser(s, speaker_of=Tones), participant], seed=n) for n, s in zip((1, 2), scripts, strict=True)]
        traces = [record(session) for session in sessions]
        for _ in range(6):
            advance(sessions)
        return traces

    changed = agent.watched_by(Intervention(zero, ["layer.0.ffn"]))
    for seed, trace in zip((1, 2), together(changed), strict=True):
        _, alone = talk(changed, seed, 6)
        assert [d.p_speak for _, d in trace.events(Decision)] == pytest.approx([d.p_speak for _, d in alone.events(Decision)], abs=1e-5)
    with pytest.raises(ValueError, match=r"2 sessions run in this pass and the capture follows 1"):
        together(agent.watched_by(Capture(list(hook_points(agent.model.config)))))
