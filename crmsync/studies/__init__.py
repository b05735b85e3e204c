"""What people ask of the rules: a program's own tests, and its movement over past dates."""
