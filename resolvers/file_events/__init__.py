"""Files in watched directories: recording them, finding new ones, and marking transforms as due."""
