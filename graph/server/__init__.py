"""The server process: opening the database, assembling the application, running it in processes."""
