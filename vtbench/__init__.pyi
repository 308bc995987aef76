from vtbench.datasets import VideoData as VideoData
from vtbench.datasets import build_data as build_data
from vtbench.methods import build_method as build_method
from vtbench.models import build as build
from vtbench.papers import include as include
from vtbench.papers import load_paper as load_paper
from vtbench.papers import measurements as measurements
from vtbench.papers import select as select
from vtbench.results.table import read_results as read_results
from vtbench.run.protocol import assemble as assemble
from vtbench.run.protocol import evaluate as evaluate
from vtbench.video.compressed import CompressedReader as CompressedReader
from vtbench.video.decode import VideoReader as VideoReader

__version__: str
