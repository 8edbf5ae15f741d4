"""What travels: the queues, and how a message is accepted and published."""
