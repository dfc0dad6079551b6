"""A person in a session, as it happens: messages from and to a browser, a jitter buffer, clock drift, the paced session, admission.

Everything here is told the time by an argument and knows no carrier: a WebSocket, a widget comm or a Panel message hands messages in and
takes messages out.
"""
