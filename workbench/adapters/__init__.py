"""Other systems, and agents from files of the user's, behind the door of ours: each is a participant, in one session, trace and score.

`ADAPTERS` is the list of them. An entry says how what follows its name is written, and makes the participant of it; what it needs is
imported when it is made, so that a command without it does not need its package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputError
from workbench.session import Participant


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A system by its name: `make` takes the text after "NAME:" (empty where there is none) and raises InputError when it does not fit.

    `settings` is how that text is written; `needed` says that there is no default for it.
    """

    make: Callable[[str], Participant]
    settings: str
    needed: bool = False


def adapted(name: str, text: str = "") -> Participant:
    """The participant of an adapter. Raises InputError for a text that does not fit, and where a package, a key or a server is missing."""
    adapter = ADAPTERS[name]
    if adapter.needed and not text:
        raise InputError(f"agent {name!r} needs its settings; write {name}:{adapter.settings}")
    return adapter.make(text)


def usage() -> tuple[str, ...]:
    """How each adapter is written on a command line."""
    return tuple(f"{name}:{one.settings}" if one.needed else name for name, one in ADAPTERS.items())


def _pipeline(text: str) -> Participant:
    from workbench.adapters.pipeline import pipeline_of

    return pipeline_of(text)


def _recorded(text: str) -> Participant:
    from workbench.adapters.recorded import recorded_agent

    return recorded_agent(Path(text))


def _own(text: str) -> Participant:
    from workbench.adapters.own import own_agent

    return own_agent(text)


def _openai_live(text: str) -> Participant:
    from workbench.adapters.openai_live import openai_live

    return openai_live(text)


def _openai_realtime(text: str) -> Participant:
    from workbench.adapters.openai_realtime import openai_realtime

    return openai_realtime(text)


def _gemini_live(text: str) -> Participant:
    from workbench.adapters.gemini_live import gemini_live

    return gemini_live(text)


def _moshi(text: str) -> Participant:
    from workbench.adapters.moshi import moshi

    return moshi(text)


def _vllm_omni(text: str) -> Participant:
    from workbench.adapters.vllm_omni import vllm_omni

    return vllm_omni(text)


ADAPTERS: Mapping[str, Adapter] = {
    "pipeline": Adapter(make=_pipeline, settings="hang_s=0.4,vad=energy,language=chat:URL#MODEL,…"),
    "recorded": Adapter(make=_recorded, settings="FOLDER", needed=True),
    "own": Adapter(make=_own, settings="FILE.py", needed=True),
    "openai-live": Adapter(make=_openai_live, settings="url=https://…/v1,model=…"),
    "openai-realtime": Adapter(make=_openai_realtime, settings="url=https://…/v1,model=…"),
    "gemini-live": Adapter(make=_gemini_live, settings="model=…,voice=…"),
    "moshi": Adapter(make=_moshi, settings="url=ws://HOST:8998/api/chat"),
    "vllm-omni": Adapter(make=_vllm_omni, settings="url=ws://HOST:8099/v1/realtime,model=…"),
}
