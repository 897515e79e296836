"""One run in time: its rows, what of them falls into a stretch of time, and the file that Perfetto opens."""
