"""Reading what others made: their text in, a typed value or a refusal out. No database and no network in here."""
