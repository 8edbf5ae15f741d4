"""The ``menos-bus`` command: one file per group of subcommands."""
