"""Is a derivative right? A gradient checker whose every verdict rests on a bound."""
