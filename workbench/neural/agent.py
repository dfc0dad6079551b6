"""A checkpoint as a participant: every 200 ms it hears, decides, speaks, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.checkpoint import Checkpoint, LayoutMismatchError, load_checkpoint
from model.hooks import Intervention, Watcher, watching
from model.interaction import ModelState, Outputs
from model.layout import CONTROL_TOKENS, HALVES, NO_TOKEN, NOTHING_HEARD, OTHER_WORD, YIELD
from model.sampling import Choice, SamplingConfig, decide
from model.voice import missing_words
from workbench.agents import Mouth, MouthState
from workbench.asking import ACTS, Repertoire, gate_of, parted, requested
from workbench.background.notes import notes_of
from workbench.clock import ClockSpec, StopWatch, Tick
from workbench.digests import file_digest
from workbench.errors import CheckpointError, InputError
from workbench.events import Decision, Event, Gate, ModelYielded, TickCost, TranscriptDelta, UserSpeechStarted, UserSpeechStopped
from workbench.frames import fitted
from workbench.neural.cells import AUDIBLE, HEARD_DELAY_S, background_tokens
from workbench.neural.own_voice import OwnVoice
from workbench.packets import AGENT_AUDIO, AGENT_TEXT, BACKGROUND_TEXT, USER_AUDIO, USER_CAMERA, USER_TEXT, Audio, MicroTurn
from workbench.scenarios import FIRST_FAMILIES
from workbench.scenarios.facts import RESULT_WORDS
from workbench.session import Said
from workbench.utterance import clean_words

CHECKPOINT = Path(__file__).resolve().parents[2] / "model" / "checkpoints" / "nano.safetensors"
BACKCHANNEL_WORDS = ("mhm",)
MOST_OUTPUTS = 8  # in one cell, of a model that delegates: a word, a control token, and the words of the request
WEIGHTS_DIGITS = 16  # of the SHA-256 of a checkpoint, in the spec of its agent
HOLD_TICKS = 15  # an unanswered user is waited for this long before the floor counts as idle


@dataclass
class _Rows:
    """A batched model state shared by the sessions that were stepped together last."""

    state: ModelState
    generation: int = 0


@dataclass
class AgentState:
    """What one session of the agent carries on: its row of the model's state, its mouth, and what it has noticed of the user."""

    clock: ClockSpec
    shared: _Rows
    row: int
    generation: int
    mouth: MouthState
    own_audio: Audio
    user_active: bool = False
    ticks_since_user: int = HOLD_TICKS
    ticks_since_own: int = HOLD_TICKS
    last_heard_s: float = 0.0
    last_half: int = NOTHING_HEARD  # what the last half cell held: the same word twice running is one word

    def model_state(self) -> ModelState:
        """This session's own model state, copied out. Raises InputError for a state that was already stepped on from."""
        if self.shared.generation != self.generation:
            raise InputError("this agent state was already used for a step; clone() a state before stepping if you need it again")
        return self.shared.state.rows(torch.tensor([self.row]))

    def clone(self) -> AgentState:
        return replace(self, shared=_Rows(self.model_state()), row=0, generation=0, own_audio=self.own_audio.copy())


class NeuralAgent:
    """The interaction model in a session: every tick it hears (and with vision sees) 200 ms, decides, speaks through `Mouth`, and says why.

    It speaks with the voice in its checkpoint, or through the synthesiser where there is none; either way its own-voice position hears
    what it really said.

    Each tick carries a `Decision` (floor state, probabilities, threshold, top candidates, gates) and a `TickCost`. Floor states: speak and
    dual while its own voice sounds, listen while the user's does, wait while a user who has spoken has not been answered for up to 3 s,
    idle otherwise.

    Of what the background hands over it reads only what it has learned to say, and a result that is none of that as there being none
    (`repertoire`, `workbench.asking.told`); a gate of that name tells so.
    """

    speaks = (AGENT_TEXT, AGENT_AUDIO)

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        path: str = "",
        weights: str = "",
        threshold: float = 0.5,
        name: str = "agent",
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self.name = name
        self.path = path
        self.weights = weights  # the first digits of the SHA-256 of the file; none of a model that was never in one
        self.watchers = tuple(watchers)
        self.model = checkpoint.model
        self.words = checkpoint.vocabulary
        self.facts = checkpoint.facts
        self.families = tuple(checkpoint.facts.get("families", FIRST_FAMILIES))
        self.user_words = checkpoint.vocabulary.user_words
        self.clock = ClockSpec(tick_ms=self.model.config.tick_ms)
        eyes, background = (USER_CAMERA,) if self.model.config.vision else (), (BACKGROUND_TEXT,) if self.words.delegates else ()
        self.hears = (USER_AUDIO, USER_TEXT, *eyes, *background)
        self.sampling = SamplingConfig(threshold=threshold)
        if self.words.delegates:
            opens, unspoken = ([self.words.token_id(w) for w in self.words.asks if (w in ACTS) is control] for control in (True, False))
            self.sampling = replace(self.sampling, max_outputs=MOST_OUTPUTS, opens=tuple(opens), unspoken=tuple(unspoken))
        self.voice = checkpoint.voice
        self.mouth = Mouth() if checkpoint.voice is None else Mouth(OwnVoice(checkpoint.voice).for_words(self.words.agent_words))
        mute = missing_words(checkpoint.voice, self.words.asks) if checkpoint.voice else []
        asks = [word for word in self.words.asks if word not in (*mute, *ACTS)]
        self._sayable = frozenset(map(self.words.token_id, asks))
        learned = checkpoint.facts.get("results", RESULT_WORDS)
        self.repertoire = Repertoire(frozenset({*self.words.agent_words, *asks}.intersection(learned)))
        self._listener = [self.words.token_id(w) for w in BACKCHANNEL_WORDS if w in self.words.agent_words]

    def spec(self) -> Mapping[str, Any]:
        changed = [f"{', '.join(w.names)} ({w.where})" for w in self.watchers if isinstance(w, Intervention)]
        made_of = {"checkpoint": self.path} | ({"weights": self.weights} if self.weights else {})
        return {"kind": "nano", **made_of, "threshold": self.sampling.threshold} | ({"changed": changed} if changed else {})

    def with_threshold(self, threshold: float) -> NeuralAgent:
        """The same agent with another bar for speaking."""
        return self._again(threshold, self.watchers)

    def watched_by(self, *watchers: Watcher) -> NeuralAgent:
        """The same agent with its steps shown to captures and interventions (`model.hooks`), from its first tick on.

        A capture follows the session that the agent is in; give each session a capture of its own.
        """
        return self._again(self.sampling.threshold, (*self.watchers, *watchers))

    def _again(self, threshold: float, watchers: Sequence[Watcher]) -> NeuralAgent:
        checkpoint = Checkpoint(self.model, self.words, self.facts, self.voice)
        made_of = {"path": self.path, "weights": self.weights}
        return NeuralAgent(checkpoint, **made_of, threshold=threshold, name=self.name, watchers=watchers)

    def start(self, clock: ClockSpec, seed: int) -> AgentState:
        if clock != self.clock:
            raise InputError(
                f"this model lives on ticks of {self.clock.samples_per_tick} samples, the session's have {clock.samples_per_tick}; "
                f"use tick_ms={self.clock.tick_ms} and sample_rate={self.clock.sample_rate}"
            )
        silence = np.zeros(clock.samples_per_tick, np.float32)
        return AgentState(clock, _Rows(self.model.start(1)), 0, 0, self.mouth.start(seed), silence)

    def step(self, state: AgentState, tick: Tick, heard: MicroTurn) -> tuple[Said, AgentState]:
        return self.step_many([state], [tick], [heard])[0]

    @torch.inference_mode()
    def step_many(self, states: Sequence[AgentState], ticks: Sequence[Tick], heard: Sequence[MicroTurn]) -> list[tuple[Said, AgentState]]:
        """One tick of many sessions in one forward pass; row by row the same as `step`."""
        watch = StopWatch()
        samples = states[0].clock.samples_per_tick
        model_state = _gather(states)
        user = torch.from_numpy(np.stack([turn.audio(USER_AUDIO, samples) for turn in heard]))
        own = torch.from_numpy(np.stack([state.own_audio for state in states]))
        present = (own.abs().amax(1) > AUDIBLE) & self.model.config.hears_itself
        user_levels, own_levels, model_state = self.model.levels_of(model_state, user, own)
        stages = {"front end": watch.lap_ms()}
        typed, handed = ([tokens(turn) for turn in heard] for tokens in (self.typed_tokens, self.handed_tokens))
        with watching(self.model, *self.watchers):
            outputs, model_state = self.model.listen(
                model_state, user_levels, own_levels, present, padded(typed), self.seen(heard), padded(handed)
            )
            stages["trunk"] = watch.lap_ms()
            choices, model_state = decide(self.model, model_state, outputs.text_NV, [self.sampling_after(tokens) for tokens in handed])
        stages["outputs"] = watch.lap_ms()
        shared = _Rows(model_state)
        results = []
        for row, (state, tick, choice, turn) in enumerate(zip(states, ticks, choices, heard, strict=True)):
            state = replace(state, shared=shared, row=row, generation=0)
            results.append(self._speak(state, tick, choice, outputs, row, self.unsaid(turn)))
        stages["voice"] = watch.lap_ms()
        costs = [TickCost(stages_ms=stages, positions=positions) for positions in model_state.trunk.count_B.tolist()]
        return [(replace(said, events=(*said.events, cost)), state) for (said, state), cost in zip(results, costs, strict=True)]

    def typed_tokens(self, turn: MicroTurn) -> list[int]:
        """The typed words of a turn, numbered as heard ones are."""
        return [self.words.heard_id(word) for word in clean_words(turn.text(USER_TEXT))]

    def handed_tokens(self, turn: MicroTurn) -> list[int]:
        """What the background hands over in a turn, as the model reads it."""
        return background_tokens(turn, self.words, self.repertoire)

    def unsaid(self, turn: MicroTurn) -> tuple[Gate, ...]:
        """A gate of each thing that the background hands over in a turn and that it cannot say as it is."""
        gates = [gate_of(note, self.repertoire) for note in notes_of(turn)] if self.words.delegates else []
        return tuple(gate for gate in gates if gate is not None)

    def sampling_after(self, handed: Sequence[int]) -> SamplingConfig:
        """How it speaks in a tick in which the background handed these tokens over: of the words of requests it may say those."""
        told = self._sayable.intersection(handed)
        return replace(self.sampling, unspoken=tuple(w for w in self.sampling.unspoken if w not in told)) if told else self.sampling

    def seen(self, heard: Sequence[MicroTurn]) -> list[torch.Tensor | None]:
        """What each turn shows at the size the model takes, uint8 (F, Y, X, C); None where the camera was off or there are no eyes."""
        vision = self.model.config.vision
        if vision is None:
            return [None for _ in heard]
        shown = [turn.frames(USER_CAMERA) for turn in heard]
        return [None if frames is None else torch.from_numpy(fitted(frames, vision.frames, vision.patch)) for frames in shown]

    def _speak(
        self, state: AgentState, tick: Tick, choice: Choice, outputs: Outputs, row: int, unsaid: tuple[Gate, ...]
    ) -> tuple[Said, AgentState]:
        clock = state.clock
        names = [self.words.tokens[token] for token in choice.tokens]
        said_words, written = parted([name for name in names if name not in CONTROL_TOKENS])
        requests = [requested(item, clock.seconds(tick)) for item in written]
        mouth = state.mouth
        if isinstance(self.mouth.out, OwnVoice):
            mouth = replace(mouth, speech=self.mouth.out.from_cell(mouth.speech, outputs.cell_BTD[row, 0]))
        packets, events, mouth = self.mouth.act(mouth, clock, tick, said_words, YIELD in choice.tokens)
        own = MicroTurn(tick, packets).audio(AGENT_AUDIO, clock.samples_per_tick)
        p_user = float(outputs.active_BT[row, 0].sigmoid())
        heard_events, last_heard_s, last_half = self._heard(state, tick, outputs, row)
        speaking = bool(np.abs(own).max() > AUDIBLE)
        after = replace(
            state,
            mouth=mouth,
            own_audio=own,
            user_active=p_user > 0.5,
            ticks_since_user=0 if p_user > 0.5 else state.ticks_since_user + 1,
            ticks_since_own=0 if speaking else state.ticks_since_own + 1,
            last_heard_s=last_heard_s,
            last_half=last_half,
        )
        events = tuple(replace(e, p_yield=choice.p_yield) if isinstance(e, ModelYielded) else e for e in events)
        record = self._decision(choice, names, p_user, _floor(after, speaking), unsaid)
        noticed = _noticed(state, after, clock, tick)
        return Said(tuple(packets), (record, *heard_events, *noticed, *requests, *events)), after

    def _heard(self, state: AgentState, tick: Tick, outputs: Outputs, row: int) -> tuple[list[Event], float, int]:
        tick_s = state.clock.tick_s
        half_s = tick_s / HALVES
        p_HV = outputs.heard_BTHV[row, 0].float().softmax(-1)
        events: list[Event] = []
        last_s, before = state.last_heard_s, state.last_half
        for half in range(HALVES):
            word, again = int(p_HV[half].argmax()), before
            before = word
            if word in (NOTHING_HEARD, OTHER_WORD, again):
                continue
            end_s = max(0.0, (tick - 1) * tick_s + (half + 0.5) * half_s - HEARD_DELAY_S)
            start_s = min(end_s, max(last_s, end_s - 0.3))
            name, p = self.words.heard[word], float(p_HV[half, word])
            events.append(TranscriptDelta(side="user", word=name, start_s=start_s, end_s=end_s, probability=p))
            last_s = end_s
        return events, last_s, before

    def _decision(self, choice: Choice, names: list[str], p_user: float, floor: str, gates: tuple[Gate, ...]) -> Decision:
        wanted = self.words.tokens[choice.wanted]
        if choice.overruled:
            sign = ">=" if choice.tokens else "<"
            reason = f"p(speak) {choice.p_speak:.2f} {sign} threshold {self.sampling.threshold:.2f}"
            gates += (Gate("threshold", wanted, " ".join(names) or "<silence>", reason),)
        return Decision(
            floor=floor,
            said=" ".join(names),
            p_speak=choice.p_speak,
            p_yield=choice.p_yield,
            p_backchannel=float(choice.probabilities[self._listener].sum()) if self._listener else 0.0,
            threshold=self.sampling.threshold,
            p_user_speaking=p_user,
            top=tuple((self.words.tokens[i], p) for i, p in choice.top),
            gates=gates,
        )


def padded(tokens: Sequence[Sequence[int]]) -> torch.Tensor | None:
    """(B, K): the tokens of every row with NO_TOKEN after them; None when no row has any."""
    depth = max(map(len, tokens))
    return torch.tensor([[*row, *[NO_TOKEN] * (depth - len(row))] for row in tokens]) if depth else None


def _gather(states: Sequence[AgentState]) -> ModelState:
    """The model state of these sessions in this order; the shared one itself when it is exactly theirs."""
    shared = states[0].shared
    whole = all(s.shared is shared and s.row == row and s.generation == shared.generation for row, s in enumerate(states))
    if whole and len(states) == len(shared.state.counter_B):
        shared.generation += 1
        return shared.state
    return ModelState.stack([state.model_state() for state in states])


def _floor(state: AgentState, speaking: bool) -> str:
    if speaking:
        return "dual" if state.user_active else "speak"
    if state.user_active:
        return "listen"
    return "wait" if state.ticks_since_user < min(HOLD_TICKS, state.ticks_since_own) else "idle"


def _noticed(before: AgentState, after: AgentState, clock: ClockSpec, tick: Tick) -> list[Event]:
    at_s = max(0.0, clock.seconds(tick - 1))
    if after.user_active and not before.user_active:
        return [UserSpeechStarted(at_s=at_s)]
    if before.user_active and not after.user_active:
        return [UserSpeechStopped(at_s=at_s)]
    return []


def read_checkpoint(path: Path, option: str = "--checkpoint") -> Checkpoint:
    """What a checkpoint file holds. Raises CheckpointError when it is missing, damaged or of another layout; `option` is what names it."""
    if not path.exists():
        raise CheckpointError(f"no checkpoint at {path}; give {option} FILE, or train one with `make train`")
    if path.is_dir():
        inside = ", ".join(sorted(one.name for one in path.glob("*.safetensors"))) or "it holds none"
        raise CheckpointError(f"{path} is a folder; give the .safetensors file in it ({inside})")
    try:
        return load_checkpoint(path)
    except LayoutMismatchError as error:
        raise CheckpointError(str(error)) from error
    except Exception as error:  # safetensors raises its own classes for damaged headers; all mean the same to a user
        raise CheckpointError(f"{path} cannot be read as a checkpoint ({error}); fetch it again or train one with `make train`") from error


def load_agent(checkpoint: str | Path | None = None, threshold: float = 0.5, name: str = "agent") -> NeuralAgent:
    """The agent of a checkpoint file (default: the shipped nano).

    Raises CheckpointError when the file is missing, damaged or of another layout, InputError for a threshold outside 0 to 1.
    """
    path = Path(checkpoint) if checkpoint else CHECKPOINT
    loaded = read_checkpoint(path)
    try:
        weights = file_digest(path)[:WEIGHTS_DIGITS]
        return NeuralAgent(loaded, path=str(checkpoint or ""), weights=weights, threshold=threshold, name=name)
    except ValueError as error:
        raise InputError(str(error)) from error
