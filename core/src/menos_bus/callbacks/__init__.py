"""How an outcome is reported: signed, to an address that is allowed, until it has arrived."""
