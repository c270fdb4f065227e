"""The embedded database: a mongod of our own that lives as long as its owner."""
