"""Reports: records to tables, statistics, plots and one HTML page."""

from reports.build import FORMATS, ReportError, ReportResult, build
from reports.compare import compare

__all__ = ["FORMATS", "ReportError", "ReportResult", "build", "compare"]
