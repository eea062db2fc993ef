"""Exports: what the operator hands over of each day, sealed for whoever is to read it."""
