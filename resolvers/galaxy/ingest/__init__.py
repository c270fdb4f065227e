"""Ingestion: from archives in the bucket to rows of jobs, exactly once in effect, whichever process is killed in
between.

`poll_loop` claims parts of ingestions (`claim`, `part_lease`), reads the archive of each in a subprocess, writes rows
(`row_writer`), and then merges them into the generation, one archive at a time (`merge`, `duplicate_jobs`). Rows of
archives that are refused or cancelled, and of discarded generations, are removed again (`cleanup`).
"""
