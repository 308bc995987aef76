"""`vtbench report --html`: one page that needs nothing but itself.

- `page`: specs and results to the page
- `parts`: what each section of it holds; `facts`: its numbers, each with where it comes from
- `figures`: what is drawn; `svg`: matplotlib's drawing as a part of the page
- `templates/`: the page (Jinja2), its style and its script
"""
