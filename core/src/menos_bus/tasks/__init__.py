"""What a task is: its registration, its schema, how it runs, retries and reports progress."""
