"""Rows become trainings, evaluations and measurements: the only room that sees the paper side and the tensor side."""
