"""How well the user's words were heard: word errors between the agent's transcript of the user and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.events import TranscriptDelta, TruthWord
from workbench.scenarios.world import USER_WORDS
from workbench.trace import Trace

MARGIN_S = 0.3  # around another person's word


@dataclass(frozen=True)
class WordErrors:
    """Substitutions, deletions and insertions together, the number of words there were, and the number that the agent named."""

    errors: int = 0
    words: int = 0
    named: int = 0

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(self.errors + other.errors, self.words + other.words, self.named + other.named)

    @property
    def rate(self) -> float | None:
        """Word error rate; None when there was nothing to hear, or when the agent kept no transcript at all."""
        return self.errors / self.words if self.words and self.named else None


def heard_words(trace: Trace, words: Sequence[str] = USER_WORDS) -> WordErrors:
    """Word errors of the heard-words transcript against what the user really said, both restricted to `words` (default: the world's).

    Words noticed while another person was speaking are left out: the truth does not say whether they should be named.
    """
    known = frozenset(words)
    truth = sorted((e for _, e in trace.events(TruthWord)), key=lambda e: e.start_s)
    others = [(w.start_s - MARGIN_S, w.end_s + MARGIN_S) for w in truth if w.speaker != "user"]
    said = [w.word for w in truth if w.speaker == "user" and w.word in known]
    heard = [e for _, e in trace.events(TranscriptDelta) if e.side == "user" and e.word in known]
    named = [e.word for e in heard if not any(a <= (e.start_s + e.end_s) / 2 <= b for a, b in others)]
    return WordErrors(edit_distance(said, named), len(said), len(named))


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Fewest substitutions, deletions and insertions that turn one word sequence into the other (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for i, wanted in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, got in enumerate(hypothesis, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (wanted != got))
    return row[-1]
