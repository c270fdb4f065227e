"""Reading a report in a process with limits on memory and CPU time."""
