"""The bytes of an archive: gzip, tar, and the members that a report has."""
