"""Other systems behind the same door as our own agents: each is a participant, so that one session, one trace and one score fit all."""
