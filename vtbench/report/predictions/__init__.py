"""What was predicted for every test video, read: by class, confused pairs, two rows against each other, curves.

- `tested`: the measurements of rows with the scores that the store has of them
- `classes`: accuracy by class, and which classes are taken for which
- `pair`: two measurements, video by video
- `videos`: one measurement, a line per video
- `curves`: training curves over seeds
"""
