"""The command line. A verb is one file here (`SUMMARY`, `options`, `call`) and one line in commands.COMMANDS.

A verb with actions (`data`) is a table of files instead (`SUMMARY`, `ACTIONS`); the file of an action is like that of a
verb."""

from vtbench.cli.commands import main

__all__ = ["main"]
