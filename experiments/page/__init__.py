"""A page of results: what it reads in bounded memory, its sections and how they are written."""
