"""Writes the pages that are made: ``python docs/generator``; with ``--execute`` runs notebooks."""

import sys

from sweeper_docs.writing import main

sys.exit(main(sys.argv[1:]))
