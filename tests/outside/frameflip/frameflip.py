"""FrameFlip (fictional): every frame is seen beside the one before it."""

import torch
from torch import Tensor, nn


class FrameFlip(nn.Module):
    """Clips (B, T, 3, H, W) to logits (B, num_classes). `pairs`: two neighbouring frames at a time, or one."""

    def __init__(self, *, num_classes: int, num_frames: int, img_size: int, width: int = 64, pairs: bool) -> None:
        super().__init__()
        self.pairs = pairs
        self.stem = nn.Conv2d(6 if pairs else 3, width, kernel_size=4, stride=4)
        self.body = nn.Sequential(nn.GELU(), nn.Conv2d(width, width, 3, padding=1), nn.GELU(), nn.AdaptiveMaxPool2d(3))
        self.head = nn.Linear(9 * width, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        if self.pairs:
            clips = torch.cat([clips[:, 1:], clips[:, :-1]], dim=2)  # (B, T - 1, 6, H, W)
        features = self.body(self.stem(clips.flatten(0, 1))).flatten(1)  # (B * (T - 1), 9 * width)
        logits: Tensor = self.head(features).unflatten(0, clips.shape[:2]).mean(dim=1)
        return logits
