"""Fields that activities of every kind store, and the lines of their logs."""
