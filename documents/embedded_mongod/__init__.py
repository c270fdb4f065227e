"""The embedded database: a `mongod` process that ends with the process that started it."""
