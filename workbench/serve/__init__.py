"""Our sessions behind OpenAI's event protocols, so that programs written for the Live and the Realtime API talk to the local model.

What maps and what differs stands in `live.py` and `realtime.py`. Nothing here needs the `openai` package.
"""
