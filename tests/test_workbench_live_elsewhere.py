"""Before a person agrees to be heard they read what of the session goes to other computers."""

from __future__ import annotations

from pathlib import Path

from tests.live_fakes import Wall, opened
from workbench.adapters.pipeline import pipeline_of
from workbench.agents import SilentAgent
from workbench.background.backends import Simulated
from workbench.background.chat import ChatAgent, ChatSpec
from workbench.background.desk import Desk
from workbench.background.recent import Senses
from workbench.live.elsewhere import sent_elsewhere
from workbench.live.protocol import Welcome

SERVER = {
    "class": "Desk",
    "backend": {"class": "Threads", "agent": {"class": "ChatAgent", "url": "https://api.example.org/v1", "tools": []}},
}
LOOKED_UP = "when it has something looked up, api.example.org is sent what was said"


def test_servers_are_named_with_what_they_are_sent() -> None:
    specs = {"user": {"class": "LiveUser"}, "agent": {"class": "NeuralAgent", "checkpoint": "nano"}, "background": SERVER}
    assert sent_elsewhere(specs) == LOOKED_UP
    wished = {**SERVER, "senses": {"audio_s": 8.0, "frame_s": 2.0}}
    assert sent_elsewhere({"background": wished}) == f"{LOOKED_UP}, the last 8 s of your microphone and your camera's last picture"
    assert sent_elsewhere({"agent": {"service": "moshi", "url": "wss://peer.example/api/chat"}}) == (
        "peer.example is sent all that you say, type and show"
    )


def test_a_pipeline_whose_language_is_a_chat_model_tells_where_the_words_go() -> None:
    pipeline = pipeline_of("vad=energy,language=chat:https://api.example.org/v1#tiny")
    assert sent_elsewhere({"agent": pipeline.spec()}) == "api.example.org is sent what was said"
    assert not sent_elsewhere({"agent": pipeline_of("vad=energy").spec()})


def test_what_stays_on_this_computer_is_not_told() -> None:
    assert not sent_elsewhere({"background": {"backend": {"agent": {"url": "http://127.0.0.1:8000/v1"}}}, "agent": {"class": "Echo"}})


def test_a_page_is_told_before_consent_and_offered_a_camera_that_only_the_background_sees(tmp_path: Path) -> None:
    chat = ChatAgent(ChatSpec(url="https://api.example.org/v1", model="tiny", senses=Senses(frame_s=2.0)))
    _, page = opened(SilentAgent(), tmp_path / "a.sqlite", Wall(), beside=(Desk(Simulated(chat)),))
    [welcome] = page.of(Welcome)
    assert welcome.sent == f"{LOOKED_UP} and your camera's last picture"
    assert "camera" in welcome.lanes
    _, page = opened(SilentAgent(), tmp_path / "b.sqlite", Wall())
    [welcome] = page.of(Welcome)
    assert (welcome.sent, "camera" in welcome.lanes) == ("", False)
