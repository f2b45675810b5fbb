"""Files into documents."""

from nearfield.core.readers.directory import SimpleDirectoryReader
from nearfield.core.readers.discovery import SkippedFile
from nearfield.core.readers.paths import PathReader

__all__ = ["PathReader", "SimpleDirectoryReader", "SkippedFile"]
