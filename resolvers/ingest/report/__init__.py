"""From the bytes of a job report to rows and rejections: no database, no network and no disk in here.

`reader.read_report` is the whole of it in one process, `apart.read_apart` the same in a process with limits.
"""
