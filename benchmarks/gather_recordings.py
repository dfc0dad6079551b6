"""More people for training: the folder of recordings, with what four public collections add to it.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset           digits of two more people, CC BY-SA 4.0
    git clone https://github.com/vinsis/speech-commands-recognition             of Speech Commands v0.01, ten of each word, CC BY 4.0
    git clone https://github.com/thegtagamer/PICO-tinyML-benchmark              Speech Commands v0.02, the files for its test, CC BY 4.0
    git clone https://github.com/Picovoice/speech-to-intent-benchmark           orders in a cafe, Apache-2.0
    git clone https://github.com/Picovoice/wake-word-benchmark                  wake words, Apache-2.0
    python benchmarks/gather_recordings.py --clones . --out more-people --aside aside
    MICROTURN_SPEECH=more-people microturn train --recipe nano_gpu --out runs/nano

Everything of the folder in MICROTURN_SPEECH is linked. Digits go to `digits/`, single words of its vocabulary to `words/`, orders and wake
words to `read_sentences/`, as talk that is for others. Nothing by the people whose single words are held back is taken, what is added is
named so that it counts as of the training part, and the read sentences of that part are linked four times, so that orders do not outweigh
them. A seventh of the orders, and of the people of the v0.02 words, goes to `--aside` instead, to choose weights by. A collection that is
not among the clones is left out and named; evaluate with the folder itself, as before.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path

import soundfile

from workbench.audio_io import read_audio
from workbench.errors import InputError
from workbench.recordings import held_back, speech_folder, vocabulary
from workbench.utterance import RATE

MORE_SPEAKERS = ("george", "lucas")
WAKE_WORDS = 60  # of each word
LINKS = 3  # more of every read sentence
ASIDE = 7  # one in so many


def for_training(name: str) -> str:
    """The name of a file, without its ending, made longer until it is one of the training part."""
    while held_back(f"{name}.flac"):
        name += "x"
    return name


def is_aside(name: str) -> bool:
    """Whether this one is kept out of the training: a fixed seventh of all names."""
    return zlib.crc32(name.encode()) % ASIDE == 0


def linked(shared: Path, out: Path) -> int:
    """Link every recording of the shared folder, and the read sentences of the training part some more times; how many links."""
    links = [(path, out / path.relative_to(shared)) for path in sorted(shared.rglob("*.flac"))]
    for path in sorted((shared / "read_sentences").glob("*.flac")):
        if not held_back(path.name):
            more = [for_training(f"{path.stem}-{n}") for n in range(LINKS)]
            links += [(path, out / "read_sentences" / f"{name}.flac") for name in more]
    for path, link in links:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return len(links)


def digits(clone: Path) -> Iterator[tuple[Path, str, bool]]:
    """Digits of the people who are not among those of the folder: file, place without its ending, whether it is set aside."""
    for path in sorted((clone / "recordings").glob("*.wav")):
        digit, person, take = path.stem.split("_")
        if person in MORE_SPEAKERS:
            yield path, f"digits/{person}/{digit}_{int(take):02d}", False


def words(folder: Path, *, aside: bool) -> Iterator[tuple[Path, str, bool]]:
    """Single words of the vocabulary, by nobody whose words are held back; `aside` sets those of one person in seven aside."""
    known = {(word, path.stem) for word in vocabulary() for path in (speech_folder() / "words" / word).glob("*.flac")}
    tested = {name.split("_")[0] for _, name in known if held_back(f"{name}.flac")}
    for path in sorted(folder.glob("*/*.wav")):
        word, person = path.parent.name, path.stem.split("_")[0]
        if word in vocabulary() and person not in tested and (word, path.stem) not in known:
            kept = aside and is_aside(f"dev{person}")
            yield path, f"words/{word}/{for_training(path.stem)}", kept


def orders(clone: Path) -> Iterator[tuple[Path, str, bool]]:
    """Orders in a cafe, one in seven set aside."""
    for path in sorted((clone / "data/speech/clean").glob("*.wav")):
        name = f"order-{path.stem}"
        yield path, f"read_sentences/{for_training(name)}", is_aside(name)


def wake_words(clone: Path) -> Iterator[tuple[Path, str, bool]]:
    """The first recordings of each wake word, by name."""
    for folder in sorted(path for path in (clone / "audio").iterdir() if path.is_dir()):
        for path in sorted(folder.iterdir())[:WAKE_WORDS]:
            name = f"wake-{folder.name.replace(' ', '-')}-{path.stem}"
            yield path, f"read_sentences/{for_training(name)}", False


COLLECTIONS = {
    "free-spoken-digit-dataset": digits,
    "speech-commands-recognition": lambda clone: words(clone / "speech_commands_v0.01", aside=False),
    "PICO-tinyML-benchmark": lambda clone: words(clone / "MLTK_keyworkSpotting/dataset", aside=True),
    "speech-to-intent-benchmark": orders,
    "wake-word-benchmark": wake_words,
}


def gathered(clones: Path, out: Path, aside: Path) -> dict[str, int]:
    """Write both folders; how many recordings of each collection are in `out`. Raises InputError when there is a folder already."""
    for folder in (out, aside):
        if folder.exists():
            raise InputError(f"{folder} is there already; remove it, or give another folder")
    counts = {"links": linked(speech_folder(), out)}
    for name, found in COLLECTIONS.items():
        if not (clones / name).is_dir():
            continue
        counts[name] = 0
        for path, place, kept in found(clones / name):
            try:
                samples = read_audio(path)
            except InputError as error:
                print(f"left out: {error}")
                continue
            target = (aside if kept else out) / f"{place}.flac"
            target.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(target, samples, RATE, subtype="PCM_16")
            counts[name] += not kept
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clones", type=Path, default=Path(), help="the folder that holds the clones")
    parser.add_argument("--out", type=Path, required=True, help="the folder to train with")
    parser.add_argument("--aside", type=Path, required=True, help="the folder to choose weights by")
    asked = parser.parse_args()
    counts = gathered(asked.clones, asked.out, asked.aside)
    print(", ".join(f"{name}: {count}" for name, count in counts.items()))
    for missing in (name for name in COLLECTIONS if name not in counts):
        print(f"not among the clones: {missing}")


if __name__ == "__main__":
    main()
