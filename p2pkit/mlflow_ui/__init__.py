"""MLflow's interface: the page that shows runs, its saved views, and its server."""
