"""A process of its own that uses an embedded server: prints the connection string, then waits to be told to end."""

import sys
from pathlib import Path

from tests.postgres import embedded

if __name__ == "__main__":
    with embedded(Path(sys.argv[1])) as conninfo:
        print(conninfo, flush=True)
        sys.stdin.readline()
