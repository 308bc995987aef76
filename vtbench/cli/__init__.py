"""The command line. A verb is one file here (`SUMMARY`, `options`, `call`) and one line in commands.COMMANDS."""

from vtbench.cli.commands import main

__all__ = ["main"]
