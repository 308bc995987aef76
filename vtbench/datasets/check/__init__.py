"""What is found out of a data set or a file before anything is trained on it.

- `verify`: lists against folders, without opening a file; `scan`: every file decoded once
- `info`: all about one file; `coding`: codec, size and frame rate of one file or of a sample of many
"""
