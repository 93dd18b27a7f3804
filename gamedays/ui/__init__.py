"""Pages of the loop: plan, break, watch, restore, find, fix, prove."""
