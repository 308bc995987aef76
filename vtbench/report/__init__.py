"""Published and measured numbers side by side, from specs and results alone. No torch.

- `report`: all of it, as text
- `statistics`: intervals, and the rule that makes a verdict of them
- `compare`: rows and records to comparisons
- `speed`: rows and the lines of speed.csv to ratios of latency, throughput and memory
- `text`: both drawn for a terminal, as Markdown, CSV or JSON; `printing`: plain tables
- `wandb`: one run on Weights & Biases for each line of results.csv
"""
