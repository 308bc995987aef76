"""Weights & Biases: a run per training run and one per line of results.csv, and a dashboard of them.

- `target`: where runs go, and what is remembered of those that were pushed
- `session`: the login, and a run that says nothing on the terminal
- `content`: what the run of one line of results.csv holds, as plain values
- `runs`: writes that, and the run of a finished training run
- `sync`: everything in a results folder that was not pushed yet
- `dashboard`: a workspace and a report

Names, groups and tags are made so that a dashboard groups by paper, table and row. The run of a training run is named
after its network and key, tagged with its scale, network and data set. The run of an evaluation is called
`paper/table:row seed N`; its group is `paper/table`, its tags are paper, table, row and scale, and its config names the
run of its training. wandb is imported when a run is made, and only then.
"""
