"""A network of our own."""

from torch import Tensor, nn


class WaveNet(nn.Module):
    """Clips (B, T, 3, H, W) to logits (B, num_classes): a small 3D convolution."""

    def __init__(self, *, num_classes: int, num_frames: int, img_size: int, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(3, width, (3, 4, 4), stride=(1, 4, 4)), nn.GELU(), nn.AdaptiveAvgPool3d(1))
        self.head = nn.Linear(width, num_classes)

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(clips.transpose(1, 2)).flatten(1))
        return logits
