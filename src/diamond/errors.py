"""The errors a user can cause; the command line prints their message on one line and exits with status 1.

Every message names the field or file, the value found and the remedy.
"""


class DiamondError(Exception):
    """Base of all errors that are the caller's to mend, not a fault of this package."""


class ConfigError(DiamondError):
    """A hyper-parameter, preset or override is unknown or out of range."""


class EnvError(DiamondError):
    """The real environment cannot be made or does not fit (unknown id, missing package, no image observations)."""


class RunError(DiamondError):
    """A run folder is missing, in use, incomplete, damaged, or of another version."""


class DataError(DiamondError):
    """An episode, start segment or other input is damaged, does not fit, or needs a package that is missing."""


class ResultsError(DiamondError):
    """Results of runs cannot be compared: a file is missing or damaged, or there are too few."""


class TrainingError(DiamondError):
    """Training cannot go on: a loss is not finite."""


class DiskError(DiamondError):
    """A file cannot be written: the disk is full, or the place is not there or may not be written to."""


class DeviceError(DiamondError):
    """The device asked for is not present."""


class ExportError(DiamondError):
    """A dream cannot be exported: a package is missing, the folder is taken, or the result is not what it should be."""
