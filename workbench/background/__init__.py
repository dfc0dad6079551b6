"""Slow work that never silences the talk: delegations and their states, agents that do the work, tools, and who may call them.

agent = Delegating(my_agent)                          # tells the desk what it asks, hears and says
desk = Desk(Simulated(LocalAgent()))                  # in simulated time; Threads(agent) beside the tick loop of a live session
session = Session.start([user, agent, desk])
"""

from __future__ import annotations
