"""What the owner of a QA cluster does for Belay, once, on their own machine and without it."""
