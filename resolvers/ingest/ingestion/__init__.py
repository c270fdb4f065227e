"""From archives in the bucket to rows of jobs, exactly once in effect, whoever is killed in between.

`worker.ingest` is all of it: it claims parts of ingestions (parts), reads the archive of each in a process of its own,
writes rows (rows), and then folds them into the generation, one archive at a time (folding, clashes). What was written
of archives that are refused or cancelled, and of generations that are discarded, is removed again (removing).
"""
