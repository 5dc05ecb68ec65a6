"""The subcommands of `pdeops`, one a file: `add(commands)` describes it, and what it runs imports what it needs."""
