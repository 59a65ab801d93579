"""What somebody sees, for tests that read past the front door."""

from api.reading.sight import Sight
from domain.access import unlimited

ALL = Sight(unlimited("test"))
"""Everything."""
