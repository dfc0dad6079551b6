"""The words of the small world the nano model lives in: what an agent may say, what a user may say to it, and numbers as words."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import InputError

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = {20: "twenty", 30: "thirty"}

MAX_NUMBER = 30
MAX_OPERAND = 9
COUNT_RANGE = (5, 30)
TIMER_RANGE_S = (2, 9)


def number_word(number: int) -> str:
    """The agent's single token for a number from 0 to 30: 21 gives "twenty-one"."""
    return spoken_number(number).replace(" ", "-")


def spoken_number(number: int) -> str:
    """A number from 0 to 30 as a user says it, one or two words: 21 gives "twenty one"."""
    if not 0 <= number <= MAX_NUMBER:
        raise InputError(f"number {number} is outside this world; use 0 to {MAX_NUMBER}")
    if number < len(_UNITS):
        return _UNITS[number]
    tens = number // 10 * 10
    return _TENS[tens] if number == tens else f"{_TENS[tens]} {_UNITS[number - tens]}"


def number_of(word: str) -> int | None:
    """The number a word (agent token or spoken form) stands for, or None when it is not a number of this world."""
    return _NUMBERS.get(word.replace("-", " "))


def numbers_joined(words: Sequence[str]) -> list[str]:
    """Words as they are spoken, with numbers of two words as the agent's single one: "twenty", "one" become "twenty-one"."""
    joined: list[str] = []
    for word in words:
        if joined and f"{joined[-1]} {word}" in _NUMBERS:
            joined[-1] = f"{joined[-1]}-{word}"
        else:
            joined.append(word)
    return joined


def counting(upto: int) -> tuple[str, ...]:
    """The agent's words when it counts to `upto`: one, two, ..."""
    return tuple(number_word(n) for n in range(1, upto + 1))


_NUMBERS = {spoken_number(n): n for n in range(MAX_NUMBER + 1)}

BACKCHANNELS = ("mhm", "yeah", "okay", "right", "uhuh")
FILLERS = ("um", "uh")
NAMES = ("anna", "ben", "clara", "david", "emma", "john", "maria", "peter", "sarah", "tom")

COLOURS = ("red", "blue", "green", "yellow", "white", "black")
THINGS = ("house", "car", "cat", "dog")
ENOUGH = "that is all"  # ends whatever the agent was asked to do meanwhile

TRANSLATIONS: tuple[tuple[str, str], ...] = (  # English and Spanish, unit by unit: numbers, colours, short phrases
    *zip(_UNITS[1:11], ("uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez"), strict=True),
    *zip(COLOURS, ("rojo", "azul", "verde", "amarillo", "blanco", "negro"), strict=True),
    *zip(THINGS, ("casa", "coche", "gato", "perro"), strict=True),
    ("red house", "casa roja"),
    ("white house", "casa blanca"),
    ("blue car", "coche azul"),
    ("green car", "coche verde"),
    ("black cat", "gato negro"),
    ("white dog", "perro blanco"),
    ("two dogs", "dos perros"),
    ("good morning", "buenos días"),
    ("good night", "buenas noches"),
    ("thank you", "gracias"),
)
SPANISH: tuple[str, ...] = tuple(dict.fromkeys(word for _, phrase in TRANSLATIONS for word in phrase.split()))

# Both lists grow at their end only: the words of a checkpoint made earlier are then the first words of a larger world.
AGENT_WORDS: tuple[str, ...] = (
    *(number_word(n) for n in range(MAX_NUMBER + 1)),
    *("now", "okay", "mhm"),
    *("yes", "no", "hello", "sorry", "warning"),
    *SPANISH,
    *("red", "green", "blue", "yellow", "helmet", "someone", "ball", "box", "cone", "ring"),
)

ASK_WORDS: tuple[str, ...] = (  # of requests to the background, those that are not among AGENT_WORDS
    *("look", "up", *NAMES, "times", "draw", "a", "chart", "make", "it", "white", "black", "never", "mind", "forget"),
)

USER_WORDS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *_UNITS,
            *_TENS.values(),
            *BACKCHANNELS,
            *FILLERS,
            *("what", "is", "plus", "how", "much", "add", "and", "the", "sum", "of"),
            *("tell", "me", "please", "can", "you", "could", "count", "to", "from"),
            *("say", "now", "in", "seconds", "remind", "wait", "then"),
            *("no", "sorry", "i", "mean", "stop", "it", "hey"),
            *NAMES,
            *("that", "correct", "hello", "come", "on", "answer", "by", "twos", "backwards", "only"),
            *("let", "a", "story", "so", "all", "whenever", "when", "listen", "time", "speak", "silent", "long", "did", "was"),
            *("every", "until", "if", "make", "mistake", "warn", "over", "goes", "passes", "with", "together"),
            *("translate", "into", "spanish", "good", "morning", "night", "thank", "dogs", *COLOURS, *THINGS),
            *("give", "password", "secret", "code", "has", "yes"),
            *("my", "squats", "jumping", "jacks", "turns", "lamp", "helmet", "comes", "off", "someone", "enters"),
            *("something", "changes", "changed", "look", "watch", "at", "table"),
            *("up", "times", "draw", "chart", "never", "mind", "forget"),
        )
    )
)
