"""The report written down: `text` for a terminal and in Markdown, `latex` for a paper, `machine` as JSON and CSV."""
