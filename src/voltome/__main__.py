"""`python -m voltome` is `voltome`."""

import sys

from voltome.cli import main

if __name__ == "__main__":
    sys.exit(main())
