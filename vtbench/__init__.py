"""vtbench: every results table of four video-transformer papers as something that runs."""

__version__ = "0.1.0"
