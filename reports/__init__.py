"""Records to tables, statistics, plots and one page."""
