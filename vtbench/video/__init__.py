"""Bytes to pixels: frames at given numbers, which frames, and which pixels of them."""
