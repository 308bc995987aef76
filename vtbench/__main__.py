"""`python -m vtbench`."""

import sys

from vtbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
