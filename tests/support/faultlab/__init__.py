"""Deaths of test runs, at moments that the engine's log shows, among neighbours that must live."""
