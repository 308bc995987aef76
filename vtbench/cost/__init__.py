"""What a network costs.

- `params`, `macs`: parameters and multiply-adds, under the counting conventions that published tables use
- `complexity`: how the multiply-adds of an attention grow with the number of tokens
- `passes`, `timing`, `memory`: seconds and peak memory of a pass, measured
"""

from vtbench.cost.macs import count_macs
from vtbench.cost.params import count_params

__all__ = ["count_macs", "count_params"]
