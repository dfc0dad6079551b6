"""Open talk: what people say to each other in words that are mostly none of the world's; made for training.

The sentences of `other_directed` are a few thousand, of words that an agent gets to know. Strangers say whatever they like, and in that an
agent that knows two hundred words finds some of them: "to" and "write" sound like "two" and "right". So training puts open talk in the
place of most of what bystanders say, and of a user who turns to somebody else: sentences of some eight hundred ordinary words that hold
the world's words and their homophones by the way, and words that nobody has. A talk may begin and end in the middle of a sentence, as a
voice that is overheard does. Nothing in it is a request of this world, and "stop" is not among its words.

    time   0    1    2    3    4    5
    user   ..she wanted to write it right after the harvest........
    agent  ........................................................
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.packets import rng_for
from workbench.scenarios.script import Beat, Piece

SHARE = 0.6  # of the beats whose words do not matter
CUT = 0.4  # of the talks begin or end in the middle of a sentence
INVENTED = 0.06  # of the open words are words that nobody has
SENTENCES = (1, 3)
FEWEST = 3  # words that are left of a sentence
PAUSES_S = (0.1, 0.7)
UNBROKEN = 0.5  # of the sentences follow the one before without a pause

_OPEN: dict[str, Sequence[str]] = {
    "noun": """
        river mountain garden bridge village forest island castle engine pocket window shoulder finger letter paper story question
        answer reason moment summer winter harvest sailor captain soldier doctor teacher farmer painter lawyer neighbour stranger
        brother sister father mother uncle daughter cousin husband lady gentleman servant king queen prince bishop judge baker
        butcher singer dancer poet horse cow sheep rabbit chicken pigeon eagle salmon spider beetle flower meadow branch shadow
        feather blanket curtain carpet mirror candle basket bottle hammer ladder needle ribbon zipper jacket trousers slipper
        collar necklace purse wallet suitcase ticket carriage railway harbour station tunnel corner pavement chimney ceiling
        staircase cellar kitchen bedroom office factory theatre museum library hospital prison church temple tower arena bakery
        stable cottage palace valley desert ocean beach cliff storm thunder rain snow wind cloud sunshine morning evening midnight
        weekend birthday wedding funeral journey adventure accident argument agreement promise secret danger trouble pleasure
        sorrow courage patience freedom justice silence music painting novel chapter sentence language dinner breakfast soup bread
        butter cheese pepper sugar potato carrot pumpkin biscuit pudding coffee kettle saucer remote battery keyboard display
        prototype budget meeting project customer designer market survey microphone plastic rubber titanium function feature
        material button interface company manager marketing target opinion problem solution decision drawing board slide minute
        hour year century country city street people children crowd army police president government parliament election war peace
        gold silver iron copper money price bargain debt fortune property estate kingdom empire nation citizen science nature
        history knowledge thought feeling dream memory spirit soul heart hand head face voice eye arm knee foot step pace distance
        direction
        """.split(),
    "adjective": """
        old young little great small large heavy light dark bright quiet noisy gentle cruel proud humble honest clever stupid lazy
        busy hungry thirsty tired angry happy sad lonely famous ancient modern foreign native royal common strange familiar
        curious careful careless dangerous safe deep shallow narrow wide steep smooth rough sharp blunt wet dry cold warm hot
        frozen empty full rich poor cheap expensive wooden golden broken perfect beautiful ugly pleasant terrible wonderful
        serious funny simple difficult possible necessary important certain several other different similar special general public
        private whole entire final early late recent sudden constant gradual spongy fancy basic original technical visible
        flexible responsible comfortable available
        """.split(),
    "did": """
        walked travelled followed carried opened closed remembered believed noticed wondered answered whispered shouted laughed
        smiled returned appeared vanished waited gathered scattered planted built painted repaired destroyed discovered explored
        examined considered decided refused accepted offered promised explained described imagined expected admired respected
        feared hated loved wanted needed used found lost brought bought sold sent kept held left met knew thought felt heard saw
        told said wrote read sang spoke drew threw caught fought taught sought slept dreamt woke ate drank cut put set shut broke
        chose drove rode rose fell flew grew showed moved turned crossed entered climbed pulled pushed lifted dropped covered
        touched finished started presented discussed designed tested measured compared mentioned suggested preferred
        """.split(),
    "do": """
        walk travel follow carry open close remember believe notice wonder whisper shout laugh smile return appear vanish gather
        scatter plant build paint repair destroy discover explore examine consider decide refuse accept offer promise explain
        describe imagine expect admire respect need use find lose bring buy sell send keep hold leave meet know think feel hear
        see write read sing draw throw catch fight teach sleep dream eat drink cut break choose drive ride fall fly grow show move
        cross climb pull push lift drop cover touch finish start present discuss design test measure compare mention suggest
        prefer go get take give work run play live die try help become seem happen stay
        """.split(),
    "adverb": """
        slowly quickly suddenly quietly loudly gently carefully nearly almost quite rather perhaps indeed therefore however still
        already often sometimes always never seldom again once twice soon later before afterwards today tomorrow yesterday tonight
        here there everywhere nowhere away together alone instead really actually basically probably obviously definitely maybe
        just even too also altogether
        """.split(),
    "person": """
        he she they we somebody nobody everybody alice henry martha george william elizabeth richard catherine edward margaret
        oliver sophie robert helen lucy arthur susan walter rachel frank
        """.split(),
    "where": """
        in on under over behind beside near through across along between against beyond above below around past towards into
        """.split(),
}
_WORLD: dict[str, Sequence[str]] = {  # words that an agent knows, and some that sound like one
    "number": """
        one two three four five six seven eight nine ten eleven twelve thirteen fifteen nineteen twenty thirty forty fifty hundred
        thousand
        """.split(),
    "alike": """
        to too for fore won want ate sick heaven tree free fought wine line fine then hive dive wait weight right write rite know
        no now how noun yes yet guess okay oh so sew some sum plus pulse add had and end what watch is his it sit eat seven sevens
        mean main men red read blue blew green grain white wide black block cat cut car card house mouse dog dark up cup off of
        time climb long wrong look book count account county say stay day tell fell me my much such can could good you your
        """.split(),
    "hedge": "well|you know|i mean|i think|i guess|sort of|um|uh|yeah|okay|right|mhm|so|and then|but|because|oh".split("|"),
}
_WORDS = {**_OPEN, **_WORLD}
_FRAMES: tuple[str, ...] = (
    "the {adjective} {noun} {did} the {noun} {where} the {adjective} {noun}",
    "{person} {did} {adverb} and {did} the {noun} of the {noun}",
    "{hedge} the {noun} was {adjective} and {adjective}",
    "{person} had to {do} the {noun} right after the {noun}",
    "it was too {adjective} for the {noun} to {do}",
    "there were {number} {noun}s and {number} {noun}s {where} the {noun}",
    "{hedge} {person} would {adverb} {do} {number} or {number} of them",
    "what {person} {did} was a {adjective} {noun} {where} the {noun}",
    "no {noun} could {do} it now that the {noun} was so {adjective}",
    "{person} {did} that the {noun} and the {noun} would {do} {adverb}",
    "when the {noun} {did} {person} {did} for the {noun}",
    "{hedge} {hedge} we have to {do} the {noun} {where} the {noun}",
    "if you {do} the {adjective} {noun} you {adverb} {do} it",
    "a {noun} of {number} {noun}s is {adjective} {alike} {adverb}",
    "{alike} the {noun} {hedge} {alike} {person} {did} {alike} {noun}",
    "not one of the {adjective} {noun}s {did} {adverb}",
    "they {did} to {do} and to {do} {where} a {adjective} {noun}",
    "{person} can {do} {alike} as {adverb} as the {noun} {did}",
    "from the {noun} to the {noun} it is {number} {noun}s",
    "on the {noun} of the {number} of the {noun} {person} {did} {alike}",
    "yes {person} {did} it {adverb} {where} the {noun} {hedge} no",
    "the {noun} {where} which {person} {did} was {adverb} {adjective}",
    "{hedge} that is {alike} what the {noun} is for",
    "{alike} {adverb} {alike} {noun} {alike}",
    "{person} {did} {noun} {noun} and {adjective} {noun}",
    "how {adjective} the {noun} {hedge} how {adjective} the {noun}",
)
_ONSETS = tuple("b br d dr f fl g gl h j k kl kr l m n p pl pr r s sk sl sm sp st str sw t th tr v w y z ch sh".split())
_VOWELS = tuple("a e i o u ee oo ai ow ar or er oa".split())
_CODAS = ("", *"b d g k l m n nd nt p r s sh st t th v x z ck ll ng".split())


def sentence(rng: np.random.Generator) -> str:
    """One sentence, in lower case and without punctuation."""
    words: list[str] = []
    for part in _FRAMES[int(rng.integers(len(_FRAMES)))].split():
        slot, _, ending = part.partition("}")
        words.append(_word(slot[1:], rng) + ending if slot.startswith("{") else part)
    return " ".join(words)


def _word(slot: str, rng: np.random.Generator) -> str:
    if slot in _OPEN and rng.random() < INVENTED:
        return invented(rng)
    words = _WORDS[slot]
    return words[int(rng.integers(len(words)))]


def invented(rng: np.random.Generator) -> str:
    """A word that nobody has, of one to three syllables, spelled as an English one might be."""

    def one_of(sounds: Sequence[str]) -> str:
        return sounds[int(rng.integers(len(sounds)))]

    return "".join(one_of(_ONSETS) + one_of(_VOWELS) for _ in range(int(rng.integers(1, 4)))) + one_of(_CODAS)


def talk(rng: np.random.Generator) -> tuple[str | float, ...]:
    """Some sentences with and without a pause between two of them, as the parts of a beat."""
    said = [sentence(rng).split() for _ in range(int(rng.integers(SENTENCES[0], SENTENCES[1] + 1)))]
    if rng.random() < CUT:
        said[0] = said[0][int(rng.integers(len(said[0]) - FEWEST + 1)) :]
    if rng.random() < CUT:
        said[-1] = said[-1][: int(rng.integers(FEWEST, len(said[-1]) + 1))]
    parts: list[str | float] = [" ".join(said[0])]
    for words in said[1:]:
        if rng.random() >= UNBROKEN:
            parts.append(float(rng.uniform(*PAUSES_S)))
        parts.append(" ".join(words))
    return tuple(parts)


def with_open_talk(pieces: Sequence[Piece], seed: int) -> list[Piece]:
    """The pieces with most of the beats whose words do not matter said in other words; drawn apart from all else."""
    rng = rng_for(seed, 0, "scenario.open_talk")

    def drawn(beat: Beat) -> Beat:
        if not beat.any_talk or not beat.parts or rng.random() >= SHARE:
            return beat
        return replace(beat, parts=talk(rng))

    return [replace(piece, beats=tuple(drawn(beat) for beat in piece.beats)) for piece in pieces]
