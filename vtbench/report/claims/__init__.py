"""The papers' claims against printed and measured numbers.

- `judge`: which numbers can speak to a claim, and the verdict
- `printed`: against what the papers print
- `accuracy`: conditions of measured accuracies; `amounts`: of costs and speeds
- `statistics`: tests of conditions, joined to one of a claim, corrected over the claims of a paper
- `finding`: what was found; `text`: drawn as a table, JSON, CSV or Markdown
"""
