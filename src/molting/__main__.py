"""`python -m molting` is the `molting` command."""

from molting.cli.main import main

main()
