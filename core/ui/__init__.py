"""Pages that stand on people, teams and clusters alone, and what every page uses."""
