"""Waves (fictional): what is particular to the data set."""

from vtbench.datasets import Entry, VideoData


class Waves(VideoData):
    """The lists are train.txt and test.txt in the user's folder: a class and a path in each line."""

    def read(self, split):
        path = self.videos.root / f"{split}.txt"
        entries = []
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            name, video = line.split()
            label = self.videos.class_names.index(name)
            entries.append(Entry(video, self.videos.root / video, label, source=f"{path}:{number}"))
        return entries
