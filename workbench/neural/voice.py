"""The recipe of the model's own voice: the teacher's words as lines on the frame grid, and the training of vocoder and speech head."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from model.checkpoint import load_voice, save_checkpoint, save_voice
from model.flow import FlowConfig, RegressionConfig
from model.plan import RELEASE_FRAMES, Lexicon, Pronunciation, on_the_grid
from model.saved import ResumeError
from model.speech import SpeechConfig
from model.train_voice import Line, VoiceTraining, fit, head_step, mel_distance, vocoder_step
from model.vocoder import VocoderConfig
from model.voice import Voice, VoiceConfig
from workbench.clock import StopWatch
from workbench.errors import CheckpointError
from workbench.neural.agent import read_checkpoint
from workbench.neural.kept import goes_on
from workbench.packets import Audio
from workbench.scenarios.world import AGENT_WORDS, USER_WORDS
from workbench.teacher import Taught, taught_within
from workbench.utterance import RATE, faded, from_int16, to_int16
from workbench.version import VERSION

HOP = VocoderConfig().hop_samples
LONGEST_FRAMES = 42  # of a word: with its release 0.56 s, so that a counting pace of 0.6 s holds any word
STRETCHES = (1.0, 0.85, 1.15)
SAID_AT = STRETCHES[0]

PRACTICE = """
about after again air all always animal apple arm arrow away baby back bag ball bank bath beach bear bed bell bird black blue boat body
book both bottle box boy bread bridge bright brother brown bus but button cake call came camera car card carry cat catch chair change
cheese child church city clean clear clock close cloud coat cold color come cook cool corner cup cut dark day deep desk dinner dog done
door down draw dream dress drink drive drop dry duck each ear early earth east easy eat edge egg empty end enough even every eye face fall
family far farm fast father feel few field fight fill find finger finish fire first fish flag floor flower fly food foot forest fork
forget found fresh friend from front fruit full funny game garden gate gave gift girl give glass go goat gold good grass gray great green
ground group grow guess guitar hair half hand happy hard hat hear heart heavy hello help helmet her here high hill hold home hope horse
hot hour house huge hundred hurt ice idea inside island jacket job join joke juice jump just keep key kick kind king kitchen knee knife
know lady lake lamp land large last late laugh law leaf learn left leg lemon letter light like line lion lip list little live long look
lost loud love low lunch machine make man many map mark match measure meat meet milk mind minute mirror money month moon more morning
mother mountain mouse mouth move much music must name near neck need new next nice night noise north nose nothing number ocean off office
oil old once onion open orange other our out over page paint pair paper park part party pass past path pay peace pen people person phone
photo picture piece pink place plan plant plate play please pleasure point pool poor pot pound power press price prize pull pure push put
queen question quick quiet rabbit race radio rain raise reach read ready really record red rest rice rich ride ring rise river road rock
room root rose round row rule run sad safe salt same sand save saw scale school sea season seat second see seed sell send shape share
sharp sheep ship shirt shoe shop short shout show shut side sign silver simple sing sister sit size skin sky sleep slow small smile smoke
snow soap soft some song soon sound soup south space speak spell spoon spring square stairs stand star start stay step stone store storm
story street strong student sugar summer sun sure sweet swim table tail take talk tall taste tea teacher team tear telephone television
test than thank that them there thick thin thing think this those though thought thread throw thumb thunder ticket tiger time tired today
together tomorrow tongue tooth top touch toward tower town toy track train travel tree trip trouble truck true trust turn under up use
usual valley vase very view village vision visit voice wait walk wall want war warm wash watch water wave way weak wear weather week
weight welcome west wet wheel where which white why wide wild win wind window wing winter wish with woman wood wool word work world worm
worth would write wrong yard year yellow yes yesterday yet young your zebra
"""


def pronounced(taught: Taught) -> Pronunciation:
    """The word on the frame grid."""
    return Pronunciation(tuple(phone for phone, _ in taught.phones), on_the_grid([end for _, end in taught.phones], HOP / RATE))


def lexicon_of(taught: list[Taught]) -> Lexicon:
    """The pronunciations of these words."""
    words = {each.word: pronounced(each) for each in taught}
    phones = sorted({phone for said in words.values() for phone in said.phones})
    return Lexicon(tuple(phones), words)


def line_of(taught: list[Taught]) -> Line:
    """Words one after the other as the agent says them: each from its frame on, the last one with its release."""
    words = tuple(pronounced(each) for each in taught)
    pieces = [_cut(each.samples, said.num_frames * HOP) for each, said in zip(taught, words, strict=True)]
    last = _cut(taught[-1].samples, min(len(taught[-1].samples), (words[-1].num_frames + RELEASE_FRAMES) * HOP))
    rest = np.zeros((words[-1].num_frames + RELEASE_FRAMES) * HOP - len(last), np.float32)
    return Line(words, torch.from_numpy(np.concatenate([*pieces[:-1], last, rest])))


def _cut(samples: Audio, length: int) -> Audio:
    """Exactly so many samples, faded at both ends."""
    padded = np.zeros(length, np.float32)
    kept = faded(samples[:length])
    padded[: len(kept)] = kept
    return padded


Report = Callable[[dict[str, Any]], None]
Teach = Callable[[str, float, float], Taught]
"""A word at most so many seconds long, its durations stretched by a factor."""


@dataclass(frozen=True, kw_only=True)
class VoiceRecipe:
    """How a voice is trained: wall minutes of both parts together, of which the vocoder gets `vocoder_share`.

    Every `hold_out`-th practice word is kept from training and judges it.
    """

    minutes: float = 60.0
    vocoder_share: float = 0.3
    head: Literal["regression", "flow"] = "regression"
    seed: int = 0
    agent_words: tuple[str, ...] = AGENT_WORDS
    other_words: tuple[str, ...] = (*USER_WORDS, *PRACTICE.split())
    stretches: tuple[float, ...] = STRETCHES
    hold_out: int = 16
    agent_share: int = 6
    """How often a word of the agent stands among the lines beside once for any other."""
    pairs: int = 500
    rows: int = 8

    @property
    def words(self) -> tuple[str, ...]:
        """Every word the teacher is asked for, the agent's first."""
        return tuple(dict.fromkeys((*self.agent_words, *self.other_words)))

    def also(self, words: Sequence[str]) -> VoiceRecipe:
        """The recipe of a voice that says these words of an agent too."""
        return replace(self, agent_words=tuple(dict.fromkeys((*self.agent_words, *words))))

    def is_held_out(self, word: str) -> bool:
        """Whether a word is kept from training."""
        return word not in self.agent_words and self.other_words.index(word) % self.hold_out == 0


def train_voice(
    recipe: VoiceRecipe,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    report: Report = print,
    teach: Teach | None = None,
) -> Path:
    """Train vocoder and speech head on the teacher's words; the path of the voice.

    `out` receives the teacher's words (`taught.npz`), what is needed to resume, the losses of both parts and `voice.safetensors`, whose
    facts hold the distance (mel, natural log) to the teacher on the agent's words and on words kept from training.

    With `resume` it goes on from what is in `out`, if there is something, with `overwrite` it replaces that. Raises InputError when a
    training there would be lost, CheckpointError when it cannot be gone on from.
    """
    path, kept = out / "voice.safetensors", [out / "vocoder.pt", out / "head.pt"]
    going_on = goes_on(kept, path, resume=resume, overwrite=overwrite)
    out.mkdir(parents=True, exist_ok=True)
    taught = _taught(recipe, out / "taught.npz", teach or _flite, report)
    if not going_on:
        for left in (*kept, path):
            left.unlink(missing_ok=True)
    lexicon = lexicon_of(taught[: len(recipe.words)])
    voice = _fresh(recipe, lexicon)
    known = [each for each in taught if not recipe.is_held_out(each.word)]
    vocoder_minutes = recipe.minutes * recipe.vocoder_share
    for_vocoder = VoiceTraining(minutes=vocoder_minutes, seed=recipe.seed, rows=recipe.rows)
    for_head = replace(for_vocoder, minutes=recipe.minutes - vocoder_minutes)
    begun = partial(fit, kind=_kind_of(voice), now=StopWatch().now, report=report, resume=resume)
    try:
        step = vocoder_step(voice.vocoder, [line_of([each]) for each in known], for_vocoder)
        steps = {"vocoder": begun(voice.vocoder, step, for_vocoder, kept[0])}
        step = head_step(voice.speech, lexicon, _lines(recipe, known), voice.config.vocoder, for_head)
        steps["head"] = begun(voice.speech, step, for_head, kept[1])
    except ResumeError as error:
        raise CheckpointError(str(error)) from error
    plain = taught[: len(recipe.words)]
    groups = {"agent": recipe.agent_words, "held out": [word for word in recipe.words if recipe.is_held_out(word)]}
    distance = {name: mel_distance(voice, [line_of([t]) for t in plain if t.word in words]) for name, words in groups.items()}
    report({"scores": {f"distance to the teacher, {name} words": value for name, value in distance.items()}})
    save_voice(path, voice, {"recipe": asdict(recipe), "steps": steps, "mel_distance": distance, "made_with": VERSION})
    return path


def _fresh(recipe: VoiceRecipe, lexicon: Lexicon) -> Voice:
    head = RegressionConfig() if recipe.head == "regression" else FlowConfig()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return Voice(VoiceConfig(speech=SpeechConfig(num_phones=len(lexicon.phones), head=head)), lexicon)


def _kind_of(voice: Voice) -> dict[str, Any]:
    """What two trainings must share for one to go on from the other: what predicts the mel, all sizes, the phones behind the numbers."""
    head = type(voice.config.speech.head).__name__
    kind: dict[str, Any] = json.loads(json.dumps({"head": head, "config": asdict(voice.config), "phones": voice.lexicon.phones}))
    return kind


def give_voice(checkpoint: Path, voice: Path, out: Path) -> Path:
    """A copy of a checkpoint that speaks with this voice; the path `out`. Raises CheckpointError when the checkpoint cannot be read."""
    mute = read_checkpoint(checkpoint, "--from")
    save_checkpoint(out, mute.model, mute.vocabulary, mute.facts, load_voice(voice))
    return out


def _flite(word: str, longest_s: float, stretch: float) -> Taught:
    return taught_within(word, longest_s, stretch)


def _taught(recipe: VoiceRecipe, path: Path, teach: Teach, report: Report) -> list[Taught]:
    """Every word at every stretch, all words at the first stretch first; kept in `path` for the next time."""
    wanted = [(word, stretch) for stretch in recipe.stretches for word in recipe.words]
    if path.exists() and (kept := _read(path, wanted)):
        return kept
    taught = []
    for number, (word, stretch) in enumerate(wanted):
        taught.append(teach(word, LONGEST_FRAMES * HOP / RATE, stretch))
        if number % 100 == 0:
            report({"words taught": number, "wanted": len(wanted)})
    _write(path, wanted, taught)
    return taught


def _write(path: Path, wanted: Sequence[tuple[str, float]], taught: Sequence[Taught]) -> None:
    facts = json.dumps({"wanted": wanted, "phones": [each.phones for each in taught], "lengths": [len(each.samples) for each in taught]})
    np.savez(path, samples=np.concatenate([to_int16(each.samples) for each in taught]), facts=np.array(facts))


def _read(path: Path, wanted: Sequence[tuple[str, float]]) -> list[Taught]:
    """The words in a file, or none when it was made for other words."""
    with np.load(path) as kept:
        facts, samples = json.loads(str(kept["facts"])), from_int16(kept["samples"])
    if [tuple(pair) for pair in facts["wanted"]] != list(wanted):
        return []
    pieces = np.split(samples, np.cumsum(facts["lengths"])[:-1])
    phones = [tuple((phone, end_s) for phone, end_s in each) for each in facts["phones"]]
    return [Taught(word, piece, said) for (word, _), piece, said in zip(wanted, pieces, phones, strict=True)]


def _lines(recipe: VoiceRecipe, known: list[Taught]) -> list[Line]:
    """Single words, the agent's more often, and pairs without a gap."""
    rng = np.random.default_rng(recipe.seed)
    agent = [each for each in known if each.word in recipe.agent_words]
    singles = [*known, *(agent * (recipe.agent_share - 1))]
    pairs = [[singles[int(i)] for i in rng.integers(len(singles), size=2)] for _ in range(recipe.pairs)]
    return [line_of([each]) for each in singles] + [line_of(pair) for pair in pairs]
