"""The background agent that comes along: offline, deterministic, exact in what it calculates and citing what it quotes."""

from __future__ import annotations
