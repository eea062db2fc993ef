"""The HTTP door, by which platforms bind. A process of its own; no router imports it."""
