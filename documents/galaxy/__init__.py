"""Galaxy servers, their archives and ingestions, the jobs read from them, and counted usage."""
