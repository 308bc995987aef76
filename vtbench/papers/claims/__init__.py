"""What the papers say about their numbers: claims.yaml, read when asked for, and the language of its expressions."""

from vtbench.papers.claims.document import Cell, Claim, load_claims

__all__ = ["Cell", "Claim", "load_claims"]
