"""An evaluation repeated over conditions and thresholds: every setting, the same episodes, one object."""

from __future__ import annotations

import json
from pathlib import Path

from tests.scenario_fakes import Tones, one_voice
from workbench.agents import OracleAgent
from workbench.conditions import parse_condition
from workbench.evaluate import Report, evaluate
from workbench.sweeps import ROBUSTNESS, THRESHOLDS, Setting, Sweep

FEW = (Setting("as drawn", "as drawn", ""), Setting("packets lost", "10 %", "loss:10"), Setting("jitter", "120 ms", "jitter:120"))


def judged(setting: Setting) -> Report:
    under = parse_condition(setting.text)
    return evaluate(OracleAgent(), ["answer", "stop"], "train", 2, 5, condition=under, pick=one_voice, speaker_of=Tones)


def test_every_setting_is_a_point_of_the_same_episodes(tmp_path: Path) -> None:
    Sweep.of("robustness", FEW, [judged(setting) for setting in FEW]).write(tmp_path / "robustness.json")
    rows = json.loads((tmp_path / "robustness.json").read_text())["points"]
    assert [(row["curve"], row["label"], row["setting"], row["config"]["condition"]) for row in rows] == [
        ("as drawn", "as drawn", "", ""),
        ("packets lost", "10 %", "loss:10", "loss:10:2"),
        ("jitter", "120 ms", "jitter:120", "jitter:120:120"),
    ]
    assert [row["mean_both"] for row in rows] == [1.0, 1.0, 1.0]  # the oracle does not listen
    assert {row["episodes"] for row in rows} == {4}


def test_the_settings_that_are_judged_are_those_that_were_promised() -> None:
    texts = [setting.text for setting in ROBUSTNESS]
    packets = {"loss:1", "loss:5", "loss:10", "jitter:40", "jitter:120"}
    assert {"", "snr:20", "snr:10", "snr:5", "snr:0", "band:3400", "room:0.5", *packets} < set(texts)
    assert any(parse_condition(text).channel.echo for text in texts)
    assert len(set(texts)) == len(texts)
    assert [setting.text for setting in THRESHOLDS] == ["0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]
