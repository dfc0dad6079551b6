"""Looking inside the agent: its activations along recorded sessions, linear probes on them, and what made it decide as it did."""

# B sessions or variants of one, T ticks, S samples of a tick, V vocabulary

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from model.hooks import Capture, Intervention, watching
from model.interaction import ModelState, Outputs
from model.layout import NOTHING_HEARD, SILENCE
from model.probes import accuracy, fit_probe, r2
from model.sampling import first_probabilities
from workbench.errors import InputError
from workbench.events import Decision, TranscriptDelta
from workbench.inside import TARGETS, Attribution, Influence, Label, ProbeScore
from workbench.neural.agent import NeuralAgent, padded
from workbench.neural.cells import AUDIBLE
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, USER_AUDIO
from workbench.trace import Trace

BATCH = 32
STREAM = ("embed", "layer.*.residual")  # the residual stream, from what goes in to what comes out
SPAN_TICKS = 40
SAME = 0.02  # p(speak) this near that of the trace is the same decision


@dataclass(frozen=True)
class _Lived:
    """What an agent took in and said, cell by cell: both sounds (T, S), the tokens said by it, typed and handed to it, and what it saw."""

    user_TS: Tensor
    own_TS: Tensor
    said: tuple[tuple[int, ...], ...]
    typed: tuple[tuple[int, ...], ...]
    handed: tuple[tuple[int, ...], ...]
    seen: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, trace: Trace, agent: NeuralAgent) -> _Lived:
        samples = trace.header.clock.samples_per_tick
        user, own = (
            torch.from_numpy(np.stack([np.zeros(samples, np.float32), *(turn.audio(stream, samples) for turn in trace.turns[:-1])]))
            for stream in (USER_AUDIO, AGENT_AUDIO)
        )
        said = tuple(tuple(agent.words.token_id(word) for word in _said(trace, tick)) for tick in range(len(trace)))
        typed = ((), *(tuple(agent.typed_tokens(turn)) for turn in trace.turns[:-1]))
        handed = ((), *(tuple(agent.handed_tokens(turn)) for turn in trace.turns[:-1]))
        return cls(user, own, said, typed, handed, (None, *agent.seen(trace.turns[:-1])))


def _said(trace: Trace, tick: int) -> list[str]:
    turn = trace.turns[tick]
    return next((event.said for event in turn.events if isinstance(event, Decision)), turn.text(AGENT_TEXT)).split()


Tokens: TypeAlias = Sequence[Sequence[int]]


def _live(
    agent: NeuralAgent,
    state: ModelState,
    sounds: tuple[Tensor, Tensor],
    said: Tokens,
    texts: tuple[Tokens, Tokens],
    seen: Sequence[Tensor | None],
) -> tuple[Outputs, ModelState]:
    """One cell of every row again: it takes in what it took in (its own sound and the user's, texts typed and handed to it, pictures) and
    says what it said."""
    model = agent.model
    user_BS, own_BS = sounds
    user_levels, own_levels, state = model.levels_of(state, user_BS, own_BS)
    typed_BK, handed_BK, said_BK = padded(texts[0]), padded(texts[1]), padded(said)
    outputs, state = model.listen(state, user_levels, own_levels, own_BS.abs().amax(1) > AUDIBLE, typed_BK, seen, handed_BK)
    for token_B in () if said_BK is None else said_BK.unbind(1):
        _, state = model.say(state, token_B)
    return outputs, state


def activations(agent: NeuralAgent, traces: Sequence[Trace], names: Sequence[str] = STREAM) -> list[dict[str, Tensor]]:
    """Of every trace, what stands at the hook points in each of its ticks, (T, ...) by name, where the cell decides.

    The agent is taken through the recorded sessions again: it hears what was heard and says what was said, whoever the agent was then; what
    it makes of the user's words is its own. Raises ValueError for an unknown hook point.
    """
    found: list[dict[str, Tensor]] = []
    for first in range(0, len(traces), BATCH):
        group = traces[first : first + BATCH]
        lives = [_Lived.of(trace, agent) for trace in group]
        longest = max(map(len, group))
        capture = Capture(names, ticks=longest, rows=len(group))
        state = agent.model.start(len(group))
        silence = torch.zeros_like(lives[0].user_TS[0])
        with torch.inference_mode(), watching(agent.model, *_changes(agent), capture):
            for tick in range(longest):
                user, own = (
                    torch.stack([sound[tick] if tick < len(sound) else silence for sound in sounds])
                    for sounds in ([life.user_TS for life in lives], [life.own_TS for life in lives])
                )
                said, typed, handed = (
                    [tokens[tick] if tick < len(tokens) else () for tokens in all_tokens]
                    for all_tokens in ([life.said for life in lives], [life.typed for life in lives], [life.handed for life in lives])
                )
                seen = [life.seen[tick] if tick < len(life.seen) else None for life in lives]
                _, state = _live(agent, state, (user, own), said, (typed, handed), seen)
        for row, trace in enumerate(group):
            found.append({name: capture.series(name, row)[: len(trace)] for name in capture.points()})
    return found


def _changes(agent: NeuralAgent) -> list[Intervention]:
    return [watcher for watcher in agent.watchers if isinstance(watcher, Intervention)]


# Probes ----------------------------------------------------------------------------------------------------------------------


def probe_layers(
    agent: NeuralAgent,
    traces: Sequence[Trace],
    names: Sequence[str] = STREAM,
    targets: Mapping[str, Callable[[Trace], Sequence[Label]]] = TARGETS,
    test_share: float = 1 / 3,
) -> list[ProbeScore]:
    """How well each target can be read by a straight line at each hook point, on the last `test_share` of the conversations.

    Probes are fitted on the other conversations, so no conversation is on both sides. Raises InputError for fewer than two traces, and for
    a target that has not one label for each micro-turn.
    """
    num_test = max(1, round(len(traces) * test_share))
    if len(traces) - num_test < 1:
        raise InputError(f"{len(traces)} conversations cannot be split into training and test; give at least two, better forty")
    found = activations(agent, traces, names)
    scores = []
    for target, label in targets.items():
        labels = [list(label(trace)) for trace in traces]
        for trace, own in zip(traces, labels, strict=True):
            if len(own) != len(trace):
                raise InputError(f"target {target!r} has {len(own)} labels for {len(trace)} micro-turns; give one for each, or None")
        for point in found[0]:
            sides = [_side(found[part], labels[part], point) for part in (slice(-num_test), slice(-num_test, None))]
            scores.append(_score(target, point, *sides))
    return scores


def _side(found: Sequence[Mapping[str, Tensor]], labels: Sequence[Sequence[Label]], point: str) -> tuple[Tensor, list[str | float]]:
    """Activations and labels of the cells that have one."""
    flat = [label for one in labels for label in one]
    there = torch.tensor([label is not None for label in flat])
    return torch.cat([one[point].flatten(1) for one in found])[there], [label for label in flat if label is not None]


def _score(target: str, point: str, train: tuple[Tensor, list[str | float]], test: tuple[Tensor, list[str | float]]) -> ProbeScore:
    (x, labels), (x_test, labels_test) = train, test
    if not labels or not labels_test:
        raise InputError(f"no cell has a {target!r} on one side of the split; give more conversations")
    if isinstance(labels[0], str):
        classes = sorted(map(str, set(labels)))
        number = {name: place for place, name in enumerate(classes)}
        y = torch.tensor([number[str(label)] for label in labels])
        y_test = torch.tensor([number.get(str(label), -1) for label in labels_test])
        score = accuracy(fit_probe(x, torch.nn.functional.one_hot(y, len(classes)))(x_test), y_test)
        chance = float((y_test == y.bincount().argmax()).double().mean())
        return ProbeScore(target, point, "accuracy", score, chance, len(y), len(y_test), len(classes))
    truth, truth_test = (torch.tensor(values, dtype=torch.float64) for values in (labels, labels_test))
    guess = fit_probe(x, truth[:, None])(x_test)[:, 0]
    chance = r2(truth.mean().expand_as(truth_test), truth_test)
    return ProbeScore(target, point, "R2", r2(guess, truth_test), chance, len(truth), len(truth_test))


# Attribution by removal --------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def attribute(agent: NeuralAgent, trace: Trace, tick: int, span_ticks: int = SPAN_TICKS) -> Attribution:
    """Which of the last `span_ticks` cells made the agent decide as it did at `tick`, by taking each away and deciding again.

    For every cell its sound is replaced by silence (what the model then fails to hear goes with it), and, where it heard words, the words
    alone are not passed on. What the agent said before stays as it was. Raises InputError when the session did not last that long, or when
    the trace holds another agent's decision.
    """
    if not 0 <= tick < len(trace):
        raise InputError(f"tick {tick} is outside this session; it has ticks 0 to {len(trace) - 1}")
    life, first = _Lived.of(trace, agent), max(0, tick - span_ticks)
    removals = _removals(trace, first, tick)
    state = agent.model.start(1)
    with watching(agent.model, *_changes(agent)):
        for cell in range(tick + 1):
            if cell == first + 1:
                state = state.rows(torch.zeros(1 + len(removals), dtype=torch.long))
            outputs, state = _live_without(agent, state, life, cell, removals)
    p_BV = first_probabilities(outputs.text_NV, [agent.sampling_after(life.handed[tick]).unspoken] * len(outputs.text_NV))
    _require_same_decision(trace, tick, p_speak=1 - float(p_BV[0, SILENCE]))
    act = life.said[tick][0] if life.said[tick] else SILENCE
    p_B = p_BV[:, act].clamp_min(1e-12).double()
    effects = (p_B[0].log() - p_B[1:].log()).tolist()
    influences = tuple(replace(removal.influence, effect=effect) for removal, effect in zip(removals, effects, strict=True))
    return Attribution(tick, trace.header.clock.seconds(tick), agent.words.tokens[act], float(p_B[0]), influences)


@dataclass(frozen=True)
class _Removal:
    """What one variant of the session goes without, and the cell that takes it in."""

    cell: int
    influence: Influence

    def takes(self, what: str, cell: int) -> bool:
        return self.influence.what == what and self.cell == cell


def _removals(trace: Trace, first: int, tick: int) -> list[_Removal]:
    """The sounds and the heard words of ticks `first` to `tick - 1`, each taken in by the cell after."""
    clock = trace.header.clock
    sounds = [Influence(t, clock.seconds(t), clock.seconds(t + 1), "sound", "", 0.0) for t in range(first, tick)]
    words = []
    for named in range(first, tick):
        heard = [event for event in trace.turns[named].events if isinstance(event, TranscriptDelta) and event.side == "user"]
        if heard:
            label = " ".join(event.word for event in heard)
            words.append(Influence(named, heard[0].start_s, heard[-1].end_s, "word", label, 0.0))
    return [_Removal(influence.tick + 1, influence) for influence in sounds + words]


def _live_without(
    agent: NeuralAgent, state: ModelState, life: _Lived, cell: int, removals: Sequence[_Removal]
) -> tuple[Outputs, ModelState]:
    """One cell of the session as it was (row 0) and of every variant that goes without something."""
    rows = len(state.counter_B)
    sounds = torch.tensor([True, *(not removal.takes("sound", cell) for removal in removals)])[:rows]
    words = torch.tensor([True, *(not removal.takes("word", cell) for removal in removals)])[:rows]
    state = replace(state, heard_before_BH=state.heard_before_BH.where(words[:, None], NOTHING_HEARD))
    user_BS = life.user_TS[cell] * sounds[:, None]
    sounds_BS = user_BS, life.own_TS[cell].expand(rows, -1)
    texts = [life.typed[cell]] * rows, [life.handed[cell]] * rows
    return _live(agent, state, sounds_BS, [life.said[cell]] * rows, texts, [life.seen[cell]] * rows)


def _require_same_decision(trace: Trace, tick: int, p_speak: float) -> None:
    recorded = next((event for event in trace.turns[tick].events if isinstance(event, Decision)), None)
    if recorded is None or abs(recorded.p_speak - p_speak) > SAME:
        was = "no decision" if recorded is None else f"p(speak) {recorded.p_speak:.2f}"
        raise InputError(f"the trace has {was} at tick {tick}, this agent p(speak) {p_speak:.2f}; give the agent that was in the session")
