"""How a foreign subject is built and driven, found out by trying."""
