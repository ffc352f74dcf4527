"""Writes the reference pages: ``python docs/generator``."""

import sys

from sweeper_docs.writing import main

sys.exit(main())
