"""Galaxy servers: instances, archives, ingestions, generations and jobs."""
