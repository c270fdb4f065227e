"""Data that lies elsewhere, at a URL: recording its states, finding them, and who is shown what of them."""
