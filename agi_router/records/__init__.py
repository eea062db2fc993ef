"""Records: what is kept for those who ask later."""
