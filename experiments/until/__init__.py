"""Seeds that are added until intervals are narrow enough: ``targets`` reads what is asked, ``looks`` decides."""
