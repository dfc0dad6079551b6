"""What every test shares: two threads, no clock in property tests, and what is looked for before a test is skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parents[1]
ARTIFACTS = ROOT / "runs" / "tests"  # what a person may look at after the tests
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
).split()


def artifact(name: str) -> Path:
    """Where a picture is kept, also after the test has passed."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    return ARTIFACTS / name


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; the test is skipped, saying so, where none is installed."""
    found = os.environ.get("MICROTURN_CHROMIUM") or next((path for name in CHROMIUMS if (path := shutil.which(name))), None)
    if not found:
        pytest.skip(f"no Chromium found (looked for {', '.join(CHROMIUMS)}); install one, or name it in MICROTURN_CHROMIUM")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """A Chromium whose microphone is a simulated one; modules that need another have their own."""
    from playwright.sync_api import sync_playwright

    from tests.talk_fakes import FAKE_MICROPHONE

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=[*CHROMIUM_FLAGS, *FAKE_MICROPHONE])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """Path of the shipped checkpoint; the test is skipped, saying so, in a checkout without it."""
    path = ROOT / "model" / "checkpoints" / "nano.safetensors"
    if not path.exists():
        pytest.skip(f"no checkpoint at {path.relative_to(ROOT)}; make one with `make train`")
    return path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file, for servers that are asked by https and wss."""
    from tests.peer_servers import make_certificate

    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def pages() -> Iterator[Any]:
    """The client's pages on a port of their own, for a browser to open."""
    from tests.talk_fakes import Pages

    with Pages() as served:
        yield served


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fake microphone hears, over and over: "count to twenty", and "stop" while the agent counts."""
    import numpy as np
    import soundfile
    import soxr

    from workbench.errors import WorkbenchError
    from workbench.speech import speaker
    from workbench.voices import Voice

    try:
        voice = speaker(Voice(engine="espeak", name="en-us"))
        ask, stop = (voice.phrase(text).samples for text in ("count to twenty", "stop"))
    except WorkbenchError as error:
        pytest.skip(f"nobody to speak: {error}")
    quiet = {seconds: np.zeros(round(seconds * 16_000), np.float32) for seconds in (1.0, 3.2, 3.0)}
    wave = np.concatenate([quiet[1.0], ask, quiet[3.2], stop, quiet[3.0]])
    path = tmp_path_factory.mktemp("microphone") / "ask.wav"
    soundfile.write(path, soxr.resample(wave, 16_000, 48_000), 48_000, subtype="PCM_16")
    return path
