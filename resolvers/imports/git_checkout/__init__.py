"""Reading the history of untrusted git checkouts."""
