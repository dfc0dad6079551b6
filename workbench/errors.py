"""Errors a user can meet. Each message names the value, the rule and the fix."""

from __future__ import annotations


class WorkbenchError(Exception):
    """Base of every error the command line prints without a traceback."""


class InputError(WorkbenchError, ValueError):
    """A value given by the caller breaks a rule; the message says which, and how to mend it."""


class TraceError(WorkbenchError):
    """A trace file is missing, damaged, of another schema, or does not verify."""


class CheckpointError(WorkbenchError):
    """A checkpoint is missing, damaged, or was made for another cell layout."""


class SpeechError(WorkbenchError):
    """A synthesiser or a recording is not available; the message says what to install or where to look."""


class TooSlow(WorkbenchError):
    """A real-time session fell behind its clock under a strict pace."""


class PeerError(WorkbenchError):
    """A service elsewhere cannot be reached, refuses, or broke off for good; the message says which and what to do."""
