"""Who answers: a function for each route, which reads the request, calls operations, and says what came of it."""
