"""Trajectories of τ-voice read as ticks: one JSON file a simulation, as τ²-bench writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import InputError
from workbench.scoring.tau_voice import Insert, PanelTick


def read_trajectory(path: Path) -> tuple[PanelTick, ...]:
    """The ticks of one simulation file. Raises InputError if it is no JSON or has no ticks (a text-mode run)."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON ({error})") from error
    ticks = body.get("ticks") if isinstance(body, dict) else None
    if not isinstance(ticks, list) or not ticks:
        raise InputError(f"{str(path)!r} has no ticks; the panel needs a full-duplex (voice) trajectory")
    return tuple(_tick(_mapping(tick)) for tick in ticks)


def _tick(tick: Mapping[str, Any]) -> PanelTick:
    user, agent = _mapping(tick.get("user_chunk")), _mapping(tick.get("agent_chunk"))
    effects = (_mapping(user.get(name)).get("speech_insert") for name in ("source_effects", "speech_effects"))
    return PanelTick(
        user=bool(user.get("contains_speech")),
        agent=bool(agent.get("contains_speech")),
        action=str(_mapping(user.get("turn_taking_action")).get("action") or ""),
        inserts=tuple(_insert(_mapping(insert)) for insert in effects if insert is not None),
    )


def _insert(insert: Mapping[str, Any]) -> tuple[Insert, str]:
    """Whatever is no tic is speech that is not for the agent."""
    return "vocal_tic" if insert.get("type", "vocal_tic") == "vocal_tic" else "non_directed", str(insert.get("text") or "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
