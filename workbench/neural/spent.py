"""What the model of an agent costs, from its settings (`model/cost.py`)."""

from __future__ import annotations

from model.cost import tick_cost
from workbench.neural.agent import NeuralAgent

SETTLED_TICK = 10_000  # by then its window is full, and every tick costs the same


def tick_flops(agent: NeuralAgent) -> float:
    """Floating-point operations of one micro-turn once the model's window is full, its own voice left out; earlier ones take less."""
    return float(tick_cost(agent.model.config, SETTLED_TICK).flops)
