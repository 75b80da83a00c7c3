"""The `molting` command: thin; each subcommand imports what it needs when it is called."""
