"""Waves (fictional): what is particular to the data set."""

from vtbench.datasets.base import Entry, VideoData


class Waves(VideoData):
    """Videos of one hand are held out together."""

    def group(self, entry: Entry) -> str:
        """ "train/h07_03.mp4" is of hand 7."""
        return entry.video_id.partition("_")[0]
