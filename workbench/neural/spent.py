"""What the model of an agent costs, from its settings (`model/cost.py`)."""

from __future__ import annotations

from model.cost import front_end_flops, head_flops, position_cost
from workbench.costs import ModelFlops
from workbench.neural.agent import NeuralAgent


def model_flops(agent: NeuralAgent) -> ModelFlops:
    """Floating-point operations that an agent's model needs at the least, by the micro-turns and the positions of a session.

    Counted of a micro-turn are the user's voice through the front end and the heads for the words heard and one output, of a position the
    trunk. Not counted, since positions do not tell what they carry: the front end for its own voice, the text head for each further
    output, pictures before the trunk; nor is the sound of its voice.
    """
    config = agent.model.config
    position = position_cost(config.trunk)
    return ModelFlops(per_tick=front_end_flops(config) + head_flops(config), per_position=position.fixed, per_seen=position.seen)
