"""``wsss data check``: what a folder of data sets holds, and what is missing or damaged in it."""

from wsss_lib.data.check.datasets import check_data
from wsss_lib.data.check.findings import Finding
from wsss_lib.data.check.journal import Journal

__all__ = ["Finding", "Journal", "check_data"]
