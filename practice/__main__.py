"""`python -m practice …`: the range's commands without Django."""

from __future__ import annotations

import sys

from practice.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
