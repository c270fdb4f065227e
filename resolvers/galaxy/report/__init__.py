"""From the bytes of a job report to rows and rejections: no database, no network and no disk in here.

`read_report` does all of it in this process, `sandbox.run_sandbox` in a subprocess with limits.
"""

PARSER_VERSION = "1"
"""Incremented with each change after which the same archive may give other rows, rejections or digests."""
