"""The numerical side: derivatives by finite differences, each with a bound and a class."""
