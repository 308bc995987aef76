"""What a network costs, under the counting conventions that published tables are printed in."""

from vtbench.cost.macs import count_macs
from vtbench.cost.params import count_params

__all__ = ["count_macs", "count_params"]
