"""Devices: how many a training has, what it makes of its batch for them, and what this machine can do."""
