"""The audio of a video: a waveform aligned with the picture, and log-mel patches as VGGish expects them."""
