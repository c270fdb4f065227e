"""odtp.yml: the parts of a component's description, each normalised."""
