"""How much of anything one report may ask of its reader."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one report. What is beyond is rejected, never read in part without saying so.

    The rows of a job are bounded so that its document stays under the 16 MB of MongoDB.
    """

    unzipped_bytes: int = 8192 * MEBIBYTE
    """Reports of five million jobs, which is as many as an exporter puts in one, take up a quarter of this."""
    ratio: int = 150
    """Unzipped bytes for each zipped one. Real reports have about 7; zeros have 1,000."""
    unjudged_bytes: int = 8 * MEBIBYTE
    """So much may be unzipped before the ratio counts, since tiny reports of one line over and over are harmless."""
    entries: int = 1000
    """Entries in the archive, headers of extensions among them."""
    extension_bytes: int = 64 * 1024
    """One PAX or GNU header."""
    line_bytes: int = MEBIBYTE
    job_metrics: int = 5000
    job_datasets: int = 10_000
    job_parameters: int = 10_000
    job_text_bytes: int = 4 * MEBIBYTE
    """Parameters and texts of metrics of one job."""
    listed_rejections: int = 100_000
    """Beyond these, the rest is counted in one rejection for each member and code."""
    window_bytes: int = 4 * MEBIBYTE
    """How much of a report is joined at once. More is faster, and takes ten times as much memory."""
    window_ceiling: int = 24 * MEBIBYTE
    """What a window may turn out to be, when the rows were placed so that the sample of them deceives."""
    kept_bytes: int = 16 * MEBIBYTE
    """Unzipped blocks that are kept from one window to the next, for each member."""
