"""The language step of the pipeline: rules that understand the requests of this world, and what a turn-based agent does about them.

A rule sees the words of one utterance, after those of an utterance that was cut short by a pause; it never sees sound, and nothing before
the user has fallen silent. That is the point of comparison: what is asked for while others speak can only be done afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.scenarios.script import onward
from workbench.scenarios.world import MAX_NUMBER, TRANSLATIONS, counting, number_of, number_word, spoken_number

OPENINGS = frozenset("what how tell can could please okay add give count so the is and in every say wait whenever warn".split())
MARKS = frozenset(("no", "sorry", "mean", "wait"))
INVITED = frozenset(("right", "correct", "yeah"))
REFUSAL, REMINDER, ALARM = "sorry", "now", "warning"
COUNT_EVERY_S = 0.6


@dataclass(frozen=True)
class Act:
    """Words to say, one every `every_s` (0: one after the other), from `after_s` after the end of the utterance on."""

    words: tuple[str, ...]
    after_s: float = 0.0
    every_s: float = 0.0


@dataclass(frozen=True)
class Memory:
    """What the language step keeps: an unfinished request, the last sum, the line of a count, and what it was told to watch for."""

    unfinished: tuple[str, ...] = ()
    numbers: tuple[int, int] | None = None
    line: tuple[str, ...] = ()
    cue: tuple[str, str] | None = None
    limit: int | None = None
    translating: bool = False


@dataclass(frozen=True)
class Understood:
    """What is to be done: acts, whether what was going on ends, and the memory afterwards. `asked`: the words were for the agent."""

    acts: tuple[Act, ...]
    memory: Memory
    ends: bool = False
    asked: bool = True


def numbers_in(words: Sequence[str]) -> tuple[int, ...]:
    """The numbers in spoken words, in order: "twenty", "one" is 21."""
    found: list[int] = []
    at = 0
    while at < len(words):
        two = number_of(" ".join(words[at : at + 2])) if at + 1 < len(words) else None
        one = number_of(words[at])
        if two is not None:
            found.append(two)
        elif one is not None:
            found.append(one)
        at += 2 if two is not None else 1
    return tuple(found)


def understand(words: Sequence[str], memory: Memory, last: str = "", counting_now: bool = False) -> Understood:
    """What one utterance asks for. `last` is the last word said, `counting_now` whether a count was going on when the user began."""
    heard = (*memory.unfinished, *words)
    fresh = replace(memory, unfinished=())
    for rule in (_refuses, _ends, _reminds, _watches, _amends if counting_now else _nothing, _counts, _sums, _corrects):
        found = rule(heard, fresh, last)
        if found is not None:
            return found
    told = _told(words, fresh)
    if told is not None:
        return told
    waits = bool(heard) and heard[0] in (*OPENINGS, *(spoken_number(n) for n in range(10)))
    return Understood((), replace(fresh, unfinished=heard if waits else ()), asked=False)


def _nothing(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    return None


def _refuses(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    return Understood((Act((REFUSAL,)),), memory) if {"password", "code"} & set(words) else None


def _ends(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    stops = "stop" in words and "until" not in words
    over = " ".join(words).endswith("that is all")
    return Understood((), Memory(), ends=True) if stops or over else None


def _reminds(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    numbers = numbers_in(words)
    if "seconds" not in words or not numbers:
        return None
    if "every" in words:
        return Understood((Act((REMINDER,) * MAX_NUMBER, float(numbers[-1]), float(numbers[-1])),), memory)
    return Understood((Act((REMINDER,), float(numbers[-1])),), memory)


def _watches(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    numbers = numbers_in(words)
    if {"passes", "over"} & set(words) and numbers:
        rest = _told([number_word(n) for n in numbers[1:]], replace(memory, limit=numbers[0]))
        return rest or Understood((), replace(memory, limit=numbers[0]))
    if "say" in words and {"whenever", "when", "every"} & set(words) and "i" in words:
        tail = words[words.index("i") + 2 :]
        before = words[: next((at for at, w in enumerate(words) if w in ("whenever", "when", "every")), 0)]
        if tail and "say" in before:
            return Understood((), replace(memory, cue=(tail[0], before[-1])))
        if len(tail) >= 3 and tail[1] == "say":
            return Understood((), replace(memory, cue=(tail[0], tail[2])))
    if "translate" in words or "spanish" in words:
        begins = max(at for at, w in enumerate(words) if w in ("translate", "spanish", "please")) + 1
        changed = replace(memory, translating=True)
        return _told(words[begins:], changed) or Understood((), changed)
    return None


def _counts(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    numbers = numbers_in(words[words.index("to") + 1 :]) if "to" in words else ()
    if "count" not in words or "with" in words or not numbers:
        return None
    line = counting(numbers[0])
    return Understood((Act(line, every_s=COUNT_EVERY_S),), replace(memory, line=line), ends=True)


def _amends(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    numbers = numbers_in(words)
    if "only" in words and numbers:
        line, step = counting(numbers[-1]), 1
    elif "twos" in words:
        line, step = memory.line, 2
    elif "backwards" in words:
        line, step = memory.line, -1
    else:
        return None
    return Understood((Act(onward(line, last, step), every_s=COUNT_EVERY_S),), replace(memory, line=line), ends=True)


def _sums(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    numbers = numbers_in(words)
    if not {"plus", "add", "sum"} & set(words) or len(numbers) < 2:
        return None
    if len(numbers) == 3 and not MARKS & set(words) and words[-1] in INVITED:
        return Understood((Act(("yes" if numbers[0] + numbers[1] == numbers[2] else "no",)),), memory)
    if len(numbers) == 3 and not MARKS & set(words) and "is" in words[2:]:
        return None  # told, not asked
    first, second = numbers[-2:] if not MARKS & set(words) or len(numbers) > 3 else (numbers[0], numbers[-1])
    if first + second > MAX_NUMBER:
        return None
    return Understood((Act((number_word(first + second),)),), replace(memory, numbers=(first, second)), ends=True)


def _corrects(words: Sequence[str], memory: Memory, last: str) -> Understood | None:
    numbers = numbers_in(words)
    if memory.numbers is None or len(numbers) != 1 or not MARKS & set(words):
        return None
    first, second = memory.numbers[0], numbers[0]
    if first + second > MAX_NUMBER:
        return None
    return Understood((Act((number_word(first + second),)),), replace(memory, numbers=(first, second)), ends=True)


def _told(words: Sequence[str], memory: Memory) -> Understood | None:
    """What standing orders make of an utterance that asks for nothing itself."""
    if memory.limit is not None and any(n > memory.limit for n in numbers_in(words)):
        return Understood((Act((ALARM,)),), replace(memory, limit=None))
    said = _translated(words) if memory.translating else ()
    if memory.cue is not None:
        said += (memory.cue[1],) * list(words).count(memory.cue[0])
    return Understood((Act(said),), memory) if said else None


def _translated(words: Sequence[str]) -> tuple[str, ...]:
    """The Spanish of all that can be translated, the longest phrases first."""
    said: list[str] = []
    at = 0
    while at < len(words):
        found = next(((english, spanish) for english, spanish in _LONGEST if tuple(words[at : at + len(english)]) == english), None)
        said += found[1] if found else ()
        at += len(found[0]) if found else 1
    return tuple(said)


_PHRASES = [(tuple(english.split()), tuple(spanish.split())) for english, spanish in TRANSLATIONS]
_LONGEST = tuple(sorted(_PHRASES, key=lambda pair: -len(pair[0])))
