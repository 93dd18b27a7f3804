"""What speaks to the world outside of Belay."""
