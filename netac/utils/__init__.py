"""What everybody may use: errors, declared options, random streams, files, plugins, worker processes, progress."""
