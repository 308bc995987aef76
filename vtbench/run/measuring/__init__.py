"""What a network costs and how fast it is, without training it."""
