"""``wsss data check``: what a folder of data sets holds, and what is missing or damaged in it."""

from wsss_lib.data.check.datasets import check_data
from wsss_lib.data.check.findings import Finding

__all__ = ["Finding", "check_data"]
