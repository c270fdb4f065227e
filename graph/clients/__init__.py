"""Client programs of the server, which import nothing of it."""
