"""What must hold: plain functions check_*(trial), one family a file. Importing this package
registers them all.
"""

from verification.properties import parity
from verification.properties.registry import PROPERTIES, Property, applicable

__all__ = ["PROPERTIES", "Property", "applicable", "parity"]
