"""What the HTTP interface takes and says: the shapes of requests, answers, problems and events."""
