"""The papers' claims against printed and measured numbers."""
