"""The only door between the workbench and the model: traces become training cells, and a checkpoint becomes a participant."""

from model.recipe import Recipe
from workbench.neural.agent import CHECKPOINT, AgentState, NeuralAgent, load_agent, read_checkpoint
from workbench.neural.cells import HEARD_DELAY_S, cells_of, packed, through_a_lens, unpacked, vocabulary
from workbench.neural.inside import activations, attribute, probe_layers
from workbench.neural.recipe import conversation, conversations_folder, load_recipe, sized, train_recipe
from workbench.neural.spent import model_flops
from workbench.neural.voice import VoiceRecipe, give_voice, train_voice

__all__ = [
    "CHECKPOINT",
    "HEARD_DELAY_S",
    "AgentState",
    "NeuralAgent",
    "Recipe",
    "VoiceRecipe",
    "activations",
    "attribute",
    "cells_of",
    "conversation",
    "conversations_folder",
    "give_voice",
    "load_agent",
    "load_recipe",
    "model_flops",
    "packed",
    "probe_layers",
    "read_checkpoint",
    "sized",
    "through_a_lens",
    "train_recipe",
    "train_voice",
    "unpacked",
    "vocabulary",
]
