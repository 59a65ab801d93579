"""The `daybook` command: one module for each group of its commands. api/command_line.py puts them together."""
