"""What people bring: policies, evictions, workloads and formats from outside of the project."""
