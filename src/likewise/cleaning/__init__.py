"""What is wrong with samples: copies, outliers, wrong labels, broken and trivial files; one table of faults."""
