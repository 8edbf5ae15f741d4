"""Quotas: units a day and uses a second, counted in one place for all processes of a bus."""
