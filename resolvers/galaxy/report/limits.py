"""Limits on the resources that one report may take."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one report. Anything beyond is rejected, never read in part without a rejection."""

    unzipped_bytes: int = 8192 * MEBIBYTE
    """Four times the size of a report of five million jobs, the most that an exporter writes into one."""
    ratio: int = 150
    """Maximum of unzipped bytes for each zipped one. Real reports have about 7; a file of zeros has 1,000."""
    bytes_before_ratio: int = 8 * MEBIBYTE
    """Bytes that may be unzipped before the ratio counts, since tiny reports of one repeated line are harmless."""
    entries: int = 1000
    """Entries in the archive, including extension headers."""
    extension_bytes: int = 64 * 1024
    """One PAX or GNU header."""
    line_bytes: int = MEBIBYTE
    job_metrics: int = 5000
    job_datasets: int = 10_000
    job_parameters: int = 10_000
    job_text_bytes: int = 4 * MEBIBYTE
    """Bytes of parameters and metric texts of one job."""
    listed_rejections: int = 100_000
    """Further rejections are counted in one rejection for each member and code."""
    window_bytes: int = 4 * MEBIBYTE
    """Bytes of a report that are joined at once. More is faster, and takes ten times as much memory."""
    max_window_bytes: int = 24 * MEBIBYTE
    """Maximum size of a window, which exceeds the estimate when rows are placed so that the samples mislead."""
    max_cached_bytes: int = 16 * MEBIBYTE
    """Unzipped blocks cached from one window to the next, for each member."""
