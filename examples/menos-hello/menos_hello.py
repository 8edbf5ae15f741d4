from menos_bus import hookimpl


@hookimpl
def register_tasks(register):
    register(greet)


def greet(who: str, times: int = 1) -> str:
    """Greet somebody."""
    return f"hello {who} " * times
