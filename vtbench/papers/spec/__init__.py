"""What stands in the files of a paper, and what may stand there: from YAML to frozen rows with their recipes."""
