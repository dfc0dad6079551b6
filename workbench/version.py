"""The version of the workbench, written once."""

VERSION = "0.1.0"
