"""`python -m errata` is the `errata` command."""

from errata.cli import main

main()
