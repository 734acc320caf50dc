"""Functions that are judged by the description of their inputs."""
