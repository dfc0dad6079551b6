"""How large is what foreign code returned or raised, found out without holding anybody up.

`json.dumps` of millions of numbers, and the text of an error that holds them, keep every other thread of the process waiting until they are
done, and a micro-turn with them. So what comes from outside is measured before it is written out: member by member, where other threads
have their turn, and no further than it may be long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SHORT = 200  # characters of an error that are told


def within(value: Any, most_chars: int) -> bool:
    """Whether a value may be JSON of no more than `most_chars` characters: False where it cannot. It looks at so many members at most.

    Raises ValueError for a value that holds itself.
    """
    left = most_chars
    holders: list[tuple[int, Iterator[Any]]] = [(0, iter((value,)))]  # whose members are being looked at, from the outermost inwards
    inside: set[int] = set()
    while holders and left >= 0:
        holder, members = holders[-1]
        for member in members:
            left -= _least(member)
            if left < 0:
                break
            if isinstance(member, list | tuple | dict):
                if id(member) in inside:
                    raise ValueError("it holds itself")
                inside.add(id(member))
                holders.append((id(member), _members(member)))
                break
        else:
            inside.discard(holder)
            holders.pop()
    return left >= 0


def _members(holder: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> Iterator[Any]:
    return (each for pair in holder.items() for each in pair) if isinstance(holder, dict) else iter(holder)


def _least(value: Any) -> int:
    """How many characters of JSON a value has at least, its members not counted."""
    if isinstance(value, str | bytes | bytearray | set | frozenset):
        return len(value) + 2
    return 2 if isinstance(value, list | tuple | dict) else 1


def in_short(error: BaseException) -> str:
    """What an error says, as far as that is told. One that was raised with very much to say is only named by its type."""
    try:
        small = within(error.args, 100 * SHORT)
    except ValueError:
        small = False
    return f"{type(error).__name__}: {str(error)[:SHORT]}" if small else f"{type(error).__name__}, with too much to say"
