"""Files in watched directories: recording them, finding new ones, and scheduling transforms."""
