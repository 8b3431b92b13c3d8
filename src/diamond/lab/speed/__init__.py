"""How fast this machine trains and dreams: `bench`, and `table` to print what it measured."""

from diamond.lab.speed.measure import bench, table

__all__ = ["bench", "table"]
