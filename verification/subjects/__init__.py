"""What is judged, brought under gradcheck's subject protocol."""
