"""Authentication of viewers, and the policies that decide what each may see."""
