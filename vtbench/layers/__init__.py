"""Bricks: functions and modules that know of no method, no spec and no data set."""
