"""The benchmark Atari 100k: its 26 x 5 runs as data, and results beside 30 published methods.

What the figures mean: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice"
(arXiv 2108.13264), and its library rliable. `diamond.lab.atari100k.page` is imported by name, because of the plots.
"""

from diamond.lab.atari100k.comparison import Comparison, compare
from diamond.lab.atari100k.methods import Method, published_methods
from diamond.lab.atari100k.plan import plan
from diamond.lab.atari100k.results import read_results

__all__ = ["Comparison", "Method", "compare", "plan", "published_methods", "read_results"]
