"""From keys to classes and back, one file an encoding."""
