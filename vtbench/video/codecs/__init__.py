"""What coded packets say of themselves: is there a picture, can decoding begin there, and what refers to what?"""
