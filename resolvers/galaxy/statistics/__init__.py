"""Usage statistics: how often tools were used, and for how long."""
