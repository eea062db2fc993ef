"""The service: what runs in a router beside its doors."""
