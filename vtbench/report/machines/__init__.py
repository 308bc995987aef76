"""GPUs, and how long training runs take on them."""
