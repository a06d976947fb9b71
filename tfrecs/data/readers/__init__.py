"""Files that a log is read from."""

from tfrecs.data.readers.reading import read
from tfrecs.data.readers.sniffing import Format, resolve, sniff

__all__ = ["Format", "read", "resolve", "sniff"]
