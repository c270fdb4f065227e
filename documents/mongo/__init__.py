"""Access to MongoDB: the client, transactions, a faster find on its pool, compiled readers of BSON."""
