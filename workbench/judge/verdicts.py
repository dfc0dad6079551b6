"""One question to a judge: a conversation, an event in it and a rubric give a verdict, or an error that says what the judge did wrong.

Full-Duplex-Bench v1.5 labels behaviour by a rubric in which a sentence that was begun before the event does not count, so that talking
straight through it is no C_RESUME but C_UNKNOWN (upstream pull request 16). Both readings are asked for and kept: `BEHAVIOUR_ONSET` is
theirs, `BEHAVIOUR_CONTINUATION` counts it as resumed. Numbers of different judges, revisions or readings are not comparable.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

from workbench.background.chat import ChatAgent, ChatSpec, prompt
from workbench.background.parts import AGENT_SPEECH, OTHER_SPEECH, USER_SPEECH, Answer, Envelope, Failure, Word
from workbench.digests import content_key
from workbench.errors import InputError, WorkbenchError
from workbench.scoring.fdb_sample import Span
from workbench.scoring.fdb_v15 import LABELS

REVISION = 1  # of the rubrics; raised whenever a word of one is changed
SOURCES = (USER_SPEECH, AGENT_SPEECH, OTHER_SPEECH)
ASKS = 2  # a reply that is no verdict is asked for once more
AGAIN = "Answer with the JSON object of your instructions alone."
Value: TypeAlias = str | int


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """What a judge is told: the file of its text, the field of its answer, and the values that are allowed in it."""

    name: str
    field: str
    allowed: tuple[Value, ...]

    @property
    def text(self) -> str:
        return resources.files("workbench.judge").joinpath("rubrics", f"{self.name}.txt").read_text(encoding="utf-8")

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


BEHAVIOUR_ONSET = Rubric(name="behaviour-onset", field="label", allowed=LABELS)
BEHAVIOUR_CONTINUATION = Rubric(name="behaviour-continuation", field="label", allowed=LABELS)
RELEVANCE = Rubric(name="relevance", field="rating", allowed=(0, 1, 2, 3, 4, 5))
RUBRICS: Mapping[str, Rubric] = {one.name: one for one in (BEHAVIOUR_ONSET, BEHAVIOUR_CONTINUATION, RELEVANCE)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is judged: the words of everyone with their times, when the event was, and what is known of it besides."""

    name: str
    words: tuple[Word, ...]
    event: Span
    context: str = ""  # what was talked about before, where the words do not tell
    turn: str = ""  # what is said in the event, where the words do not tell

    def __post_init__(self) -> None:
        strangers = {word.source for word in self.words} - set(SOURCES)
        if strangers or not 0 <= self.event[0] <= self.event[1]:
            raise InputError(f"case {self.name!r}: words of {', '.join(SOURCES)} and an event (start_s, end_s) are judged")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a judge says of a case by a rubric, why, and all that it depends on."""

    case: str
    value: Value
    reason: str
    rubric: str
    revision: int
    rubric_sha256: str
    model: str
    kept: bool = field(default=False, compare=False)  # whether it was there before

    @property
    def by(self) -> str:
        """Who says so, for the setup of a score: the judge, the rubric, and its revision."""
        return f"{self.model}, rubric {self.rubric} revision {self.revision} ({self.rubric_sha256[:12]})"

    def to_json(self) -> dict[str, Any]:
        """One JSON-ready object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "kept"}


@dataclass(frozen=True)
class Judge:
    """A chat model that judges. `settings` say where it is; their instructions are replaced by the rubric. `cache` keeps its verdicts."""

    settings: ChatSpec
    cache: Path
    key: str = field(default="", repr=False)

    def ask(self, case: Case, rubric: Rubric) -> Verdict:
        """The verdict, from the cache or from the model. Raises WorkbenchError when the model gives none."""
        envelope = _envelope(case)
        told = {"rubric": rubric.digest, "revision": REVISION, "model": self.settings.model, "prompt": prompt(envelope)}
        path = self.cache / f"{content_key(told)}.json"
        if (found := _read(path, case, rubric)) is not None:
            return replace(found, kept=True)
        value, reason = self._answer(envelope, case, rubric)
        verdict = Verdict(
            case=case.name,
            value=value,
            reason=reason,
            rubric=rubric.name,
            revision=REVISION,
            rubric_sha256=rubric.digest,
            model=self.settings.model,
        )
        self.cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(verdict.to_json(), indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
        return verdict

    def _answer(self, envelope: Envelope, case: Case, rubric: Rubric) -> tuple[Value, str]:
        agent = ChatAgent(replace(self.settings, instructions=rubric.text, sentences=False), key=self.key)
        said = ""
        for _ in range(ASKS):
            last = list(agent.work(envelope, lambda: False))[-1]
            match last:
                case Answer(text=said):
                    if (found := verdict_in(said, rubric)) is not None:
                        return found
                case Failure(cause=cause):
                    raise WorkbenchError(
                        f"the judge {self.settings.model} at {self.settings.url} gave no verdict on {case.name!r}: {cause}"
                    )
                case _:
                    pass
            envelope = replace(envelope, amendments=(AGAIN,))
        allowed = ", ".join(map(str, rubric.allowed))
        raise WorkbenchError(
            f"the judge {self.settings.model} said {said[:120]!r} of {case.name!r}; a verdict has {rubric.field!r} with one of {allowed}. "
            "Use a model that keeps to JSON"
        )


def verdict_in(text: str, rubric: Rubric) -> tuple[Value, str] | None:
    """Value and reason of the last JSON object in a text that is a verdict by this rubric; None where there is none."""
    decoder, found = json.JSONDecoder(), None
    at = text.find("{")
    while at >= 0:
        try:
            body, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            body, end = None, at + 1
        if isinstance(body, dict) and _allowed(body.get(rubric.field), rubric):
            found = body[rubric.field], str(body.get("reason", ""))[:500]
        at = text.find("{", end)
    return found


def _allowed(value: object, rubric: Rubric) -> bool:
    return not isinstance(value, bool) and isinstance(value, str | int) and value in rubric.allowed


def _envelope(case: Case) -> Envelope:
    start_s, end_s = case.event
    ask = [f"Judge what the agent does about the event from {start_s:.2f} s to {end_s:.2f} s."]
    ask += [f"In it is said: {case.turn}"] if case.turn else []
    ask += [f"Before it was talked about: {case.context}"] if case.context else []
    words = tuple(sorted(case.words, key=lambda word: word.start_s))
    last_s = max([end_s, *(word.end_s for word in words)])
    return Envelope(
        session=case.name, task=case.name, run=0, origin_tick=0, origin_s=last_s, ask=" ".join(ask), transcript=words, heard_s=last_s
    )


def _read(path: Path, case: Case, rubric: Rubric) -> Verdict | None:
    """A verdict that was kept; None where there is none that can be read."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        verdict = Verdict(**body)
    except (OSError, ValueError, TypeError):
        return None
    return replace(verdict, case=case.name) if _allowed(verdict.value, rubric) else None


def behaviour(judge: Judge, case: Case) -> tuple[Verdict, Verdict]:
    """The labels by both readings: that of the benchmark, and the one that counts talking on as resuming."""
    return judge.ask(case, BEHAVIOUR_ONSET), judge.ask(case, BEHAVIOUR_CONTINUATION)


def case_words(texts: Sequence[tuple[str, float, float | None]], source: str) -> tuple[Word, ...]:
    """Words of one speaker from (text, start_s, end_s); an open end is its start."""
    return tuple(Word(source, text.strip(), start_s, start_s if end_s is None else end_s) for text, start_s, end_s in texts if text.strip())
