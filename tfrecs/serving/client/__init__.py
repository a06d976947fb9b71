"""Asks a TensorFlow Serving server, by gRPC or REST."""
