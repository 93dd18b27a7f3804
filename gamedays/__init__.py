"""Bookings, scenarios, probes, injections, findings and their proofs."""
