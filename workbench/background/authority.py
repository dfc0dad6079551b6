"""Who may have slow work done: only the session's user, by speech addressed to the agent.

A model can be talked into anything by a voice from the television, a typed line, a document, or a result that says "now delete
everything". So it is never asked on whose behalf it acts. Whoever listens along compares the words of its request with all that came in
shortly before: the request belongs to the one whose words it repeats. No more than that is decided here; what a request without a user
behind it may not do is decided by the desk (amend, cancel, consent) and by the toolbox (call a tool).

To end work is a lesser thing than to begin it, and "never mind" is said once and easily misheard: such a request belongs to whoever spoke
last, whatever its words.

To change work lies between the two. "No, ben" is as short, and work that goes on for the wrong person is told as if it were right. A change
in words that nobody was heard to say is the user's if the user spoke last and nobody else said any of them; the desk makes it, and the work
has no authority from then on.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.background.parts import AGENT_SPEECH, MISHEARD, NOBODY, USER_SPEECH, Word
from workbench.background.words import spoken_words

LAST_S = 3.0  # how far back the words lie of which a request to end work may be the answer
EVIDENCE_S = 30.0  # how far back the words lie that a request may repeat
REPEATED = 0.7  # share of the words of a request that must be its source's
_EMPTY = frozenset(
    "a an the of to in on at for and or is are was were be do does did it its this that these those my your me i you we he she they "
    "please what which who how when where can could would will shall with from by as about".split()
)


def source_of(ask: str, words: Sequence[Word], at_s: float) -> str:
    """Whose words a request repeats, of all words (as spoken, see `spoken_words`) that were there at `at_s`: a source, or "nobody".

    The user's speech is its source when it holds at least REPEATED of the request's content words, and no other source holds more. Of the
    others the one that holds most is named.
    """
    shares = _shares(ask, words, at_s)
    most = max(shares.values(), default=0.0)
    if most < REPEATED:
        return NOBODY
    if shares.get(USER_SPEECH, 0.0) >= most:
        return USER_SPEECH
    return min(source for source, share in shares.items() if share == most)


def changed_by(ask: str, words: Sequence[Word], at_s: float) -> str:
    """Whose wish a change of work is: whose words it repeats, or MISHEARD where those are nobody's and it can only be the user's."""
    source = source_of(ask, words, at_s)
    others = [word for word in words if word.source != AGENT_SPEECH]
    elsewhere = {other for other, share in _shares(ask, others, at_s).items() if share and other != USER_SPEECH}
    return MISHEARD if source == NOBODY and not elsewhere and spoke_last(others, at_s) == USER_SPEECH else source


def spoke_last(words: Sequence[Word], at_s: float) -> str:
    """Whose word was the last that began in the LAST_S before `at_s`: a source, or "nobody"."""
    near = [word for word in words if at_s - LAST_S <= word.start_s <= at_s]
    return max(near, key=lambda word: word.start_s).source if near else NOBODY


def _shares(ask: str, words: Sequence[Word], at_s: float) -> dict[str, float]:
    """Of every source that said anything, the share of a request's content words that it said; empty where the request asks nothing."""
    wanted = [word for word in spoken_words(ask) if word not in _EMPTY] or list(spoken_words(ask))
    said: dict[str, set[str]] = {}
    for word in words if wanted else ():
        if at_s - EVIDENCE_S <= word.start_s <= at_s:
            said.setdefault(word.source, set()).add(word.word)
    return {source: sum(word in theirs for word in wanted) / len(wanted) for source, theirs in said.items()}
