"""Property tests without a stopwatch: the first example pays for loading pyarrow, and the machine may be busy."""

from hypothesis import settings

settings.register_profile("no stopwatch", deadline=None)
settings.load_profile("no stopwatch")
