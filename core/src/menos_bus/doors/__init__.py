"""The doors: how calls come in and workers are run."""
