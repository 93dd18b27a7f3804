"""Real processes, real kills: many injections on a range while parts of ours die at random."""
