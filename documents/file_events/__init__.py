"""Files as they were last seen in watched directories."""
