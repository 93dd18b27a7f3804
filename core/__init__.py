"""People, teams, clusters, credentials and the slot. Imports nothing else of Belay."""
