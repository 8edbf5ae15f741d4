"""Plugins: the hooks that they may implement, and how they are found and loaded."""
