"""Published and measured numbers side by side, from specs and results alone. No torch.

- `report`: all of it, as text in one of the formats
- `compare`: rows and the lines of results.csv to comparisons
- `statistics`: intervals, and the rule that makes a verdict of one
- `ratios`: rows and the lines of speed.csv to ratios of latency, throughput and memory
- `sheets`, `speed_sheets`: what each printed table shows of both
- `formats/`: that drawn for a terminal, as Markdown, LaTeX, JSON and CSV
- `origin`: where the numbers of a row come from
- `claims/`: the papers' claims against printed and measured numbers
- `predictions/`: classes, confusion and pairs of results, from scores of single videos
- `claims/`: what the numbers say of the papers' claims
- `page/`: all of it as one HTML page
- `printing`: plain tables, for other commands
- `wandb`: one run on Weights & Biases for each line of results.csv
"""
