"""From the bytes of a job report to rows and rejections: no database, no network and no disk in here.

`read_report` does all of it in this process, `sandbox.run_sandbox` in a subprocess with limits.
"""
